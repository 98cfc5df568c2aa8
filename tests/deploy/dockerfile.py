"""An image file, as far as the tests need to understand one."""

import fnmatch
import json
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Step(NamedTuple):
    """One instruction: its word and what follows it."""

    word: str
    rest: str

    @property
    def flags(self) -> list[str]:
        """`--from=…` and their like."""
        return [part for part in shlex.split(self.rest) if part.startswith("--")]

    @property
    def sources(self) -> list[str]:
        """What a COPY takes from the folder it is built in."""
        if self.word != "COPY" or any(flag.startswith("--from") for flag in self.flags):
            return []
        return [part for part in shlex.split(self.rest) if not part.startswith("--")][:-1]

    @property
    def argv(self) -> list[str]:
        """Of CMD and ENTRYPOINT in their exec form."""
        argv: list[str] = json.loads(self.rest)
        return argv


class Image:
    """All instructions, and those of the stage that becomes the image."""

    def __init__(self, path: Path) -> None:
        self.steps = list(_steps(path.read_text("utf-8")))
        first = max(i for i, step in enumerate(self.steps) if step.word == "FROM")
        self.final = self.steps[first:]

    def of(self, word: str) -> list[Step]:
        """The instructions of the last stage with this word."""
        return [step for step in self.final if step.word == word]

    @property
    def environ(self) -> dict[str, str]:
        """What the image sets."""
        pairs = [part.split("=", 1) for step in self.of("ENV") for part in shlex.split(step.rest)]
        return dict(pairs)  # type: ignore[arg-type]

    @property
    def commands(self) -> str:
        """Everything that is run while any stage is built."""
        return "\n".join(step.rest for step in self.steps if step.word == "RUN")


def _steps(text: str) -> list[Step]:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [Step(*line.split(maxsplit=1)) for line in joined.splitlines()]


def sent(path: str) -> bool:
    """Whether `.dockerignore` lets a path into the build."""
    allowed = False
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!")
        if any(fnmatch.fnmatch(part, pattern) for part in _with_folders(path)):
            allowed = line.startswith("!")
    return allowed


def _with_folders(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]
