"""What goes wrong with the parts that run on one machine.

EmbeddedError
├── FolderBusy          another process uses the data folder
├── PartMissing         an installed package or program is not there
├── ChildDied           a process ended that should run
├── ChildNotReady       a process runs, but did not become ready in time
└── SecretsUnreadable   the data folder's secrets.json is damaged
"""

from pathlib import Path


class EmbeddedError(Exception):
    """A part of the embedded stack failed; the text is for the person at the terminal."""

    code = "local_service_failed"


class FolderBusy(EmbeddedError):
    """`folder` belongs to a stack that runs; `holder` is its process id where known."""

    def __init__(self, folder: Path, holder: int | None) -> None:
        self.folder = folder
        self.holder = holder
        by = f"process {holder}" if holder else "another process"
        super().__init__(f"{folder} is in use by {by}; stop that one, or choose another folder")


class PartMissing(EmbeddedError):
    """A program of the `embedded` extra cannot be found."""

    def __init__(self, part: str, package: str) -> None:
        self.part = part
        self.package = package
        super().__init__(f"{part} is not installed; it comes with the package {package}")


class ChildDied(EmbeddedError):
    """Process `name` ended with `exit_code`, which is 128 + N for signal N."""

    def __init__(self, name: str, exit_code: int, log: Path, log_tail: str) -> None:
        self.name = name
        self.exit_code = exit_code
        self.log = log
        self.log_tail = log_tail
        said = f"; {log} ends with:\n{log_tail}" if log_tail else f"; {log} says nothing"
        super().__init__(f"{name} ended with exit code {exit_code}{said}")


class ChildNotReady(EmbeddedError):
    """Process `name` was not ready within `deadline_s` seconds."""

    def __init__(self, name: str, deadline_s: float, log: Path, log_tail: str) -> None:
        self.name = name
        self.deadline_s = deadline_s
        self.log = log
        self.log_tail = log_tail
        super().__init__(
            f"{name} was not ready within {deadline_s:g} s; {log} ends with:\n{log_tail}"
        )


class SecretsUnreadable(EmbeddedError):
    """`path` is not a secrets file that this version wrote."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        super().__init__(
            f"{path} cannot be read ({reason}); restore it, or start with an empty folder"
        )
