"""What a process does at its fault points: note them, or die at one.

A point is called after who is there and what comes next: `complete_upload/sql.append` is before the
append of that endpoint, `complete_upload/answer` after all it does and before it says so.
"""

import asyncio
import os
import signal
import sys
from contextvars import ContextVar
from pathlib import Path
from types import FrameType

from infra.loops import LOOPS

ANSWER = "answer"
_LOOPS = frozenset(loop.name for loop in LOOPS)
_who: ContextVar[str] = ContextVar("who", default="process")


class Recorder:
    """Writes the name of every point reached to a file, in order."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def __call__(self, kind: str, name: str) -> None:
        os.write(self._file, f"{point(kind, name)}\n".encode())


class Armed:
    """Kills the process when it reaches a point: `NAME` the first time, `NAME:N` the Nth time."""

    def __init__(self, at: str) -> None:
        self._at, _, number = at.partition(":")
        self._left = int(number or 1)
        print(f"fault points: this process kills itself at {at}", file=sys.stderr, flush=True)

    def __call__(self, kind: str, name: str) -> None:
        if point(kind, name) != self._at:
            return
        self._left -= 1
        if self._left == 0:
            os.write(2, f"killed at {self._at}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)


def point(kind: str, name: str) -> str:
    """The point's full name. Its first part is passed on to the tasks that are started there."""
    who = name if kind == ANSWER else _who_is_there() or _who.get()
    _who.set(who)
    return f"{who}/{kind}" if kind == ANSWER else f"{who}/{kind}.{name}"


def _who_is_there() -> str | None:
    """The loop whose task this is, or the endpoint that awaits us."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return None
    if task is not None and task.get_name() in _LOOPS:
        return task.get_name()
    return _endpoint(sys._getframe(2))


def _endpoint(frame: FrameType | None) -> str | None:
    """The function that `Operation.serve` called, below which `frame` is."""
    below = None
    while frame is not None:
        if frame.f_code.co_name == "serve" and frame.f_code.co_filename.endswith("operations.py"):
            return below
        below = frame.f_code.co_name
        frame = frame.f_back
    return None
