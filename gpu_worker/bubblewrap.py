"""The command line of bubblewrap: a program with a file system, processes and network of its own.

bubblewrap: bwrap(1), github.com/containers/bubblewrap.
"""

import signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ENDED_BY = frozenset(
    {
        signal.SIGILL, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGKILL,
        signal.SIGSEGV, signal.SIGXCPU, signal.SIGXFSZ, signal.SIGSYS,
    }
)  # fmt: skip
SHELL_OFFSET = 128


@dataclass(frozen=True)
class View:
    """What the program sees: files to read, devices to use, and its folder where it may write."""

    read: tuple[Path, ...]
    devices: tuple[Path, ...]
    folder: Path | None


def wrapped(
    program: str,
    argv: Sequence[str],
    view: View,
    environment: Mapping[str, str],
    seccomp_fd: int | None,
) -> list[str]:
    """`argv` under bubblewrap. It reads its filter from `seccomp_fd`."""
    words = [program, "--unshare-all", "--die-with-parent", "--cap-drop", "ALL", "--clearenv"]
    for name, value in environment.items():
        words += ["--setenv", name, value]
    words += ["--proc", "/proc", "--dev", "/dev"]
    words += _bound("--dev-bind", view.devices)
    if view.folder is None:
        words += ["--chdir", "/"]
    else:
        words += ["--bind", str(view.folder), str(view.folder), "--chdir", str(view.folder)]
    # After the folder: what lies in it and is only to be read stays as it is.
    words += _bound("--ro-bind", view.read)
    # Else `/` and `/dev` are memory that can be filled.
    words += ["--remount-ro", "/dev", "--remount-ro", "/"]
    if seccomp_fd is not None:
        words += ["--seccomp", str(seccomp_fd)]
    return [*words, "--", *argv]


def signal_of(status: int) -> int:
    """The program's exit status: bubblewrap tells 128 + N of one that signal N ended.

    ffmpeg's own statuses above 128 are 256 less an errno; those that meet these tell of networks
    and quotas.
    """
    number = status - SHELL_OFFSET
    return -number if number in ENDED_BY else status


def _bound(option: str, paths: Iterable[Path]) -> list[str]:
    words: list[str] = []
    for path in paths:
        words += [option, str(path.resolve()), str(path)]
    return words
