"""What happened in a schedule, in order, and everything that the code under test logged."""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tests.simulate.processes import HERE, now_s

LOGGERS = ("domain", "infra", "api", "gpu_worker", "tests.simulate")
UNFORESEEN = ("unexpected", "unforeseen")


class Entry(NamedTuple):
    """One line of the trace; `at_s` in seconds of the schedule."""

    at_s: float
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.at_s:10.3f} {self.kind:8} {self.text}"


class Journal:
    """The trace of a schedule."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.unforeseen: list[str] = []

    def note(self, at_s: float, kind: str, text: str) -> None:
        """Something happened."""
        self.entries.append(Entry(at_s, kind, text))

    def logged(self) -> str:
        """Everything that was logged."""
        return "\n".join(entry.text for entry in self.entries if entry.kind == "log")

    def digest(self) -> str:
        """The same for the same schedule, anywhere."""
        return hashlib.sha256("\n".join(map(str, self.entries)).encode()).hexdigest()

    def __str__(self) -> str:
        return "\n".join(map(str, self.entries))


class _Ear(logging.Handler):
    """Hears what the code under test logs, for the schedule that runs."""

    journal: Journal | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if self.journal is None:
            return
        text = record.getMessage()
        if record.exc_info:
            text += f"\n{logging.Formatter().formatException(record.exc_info)}"
        if record.levelno >= logging.ERROR and any(word in text for word in UNFORESEEN):
            self.journal.unforeseen.append(text)
        self.journal.note(now_s(), "log", f"{HERE.get().name}: {record.levelname}: {text}")


_EAR = _Ear()


@contextmanager
def all_ears() -> Iterator[None]:
    """Inside, the logs of the code under test go to schedules alone."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    if _EAR in loggers[0].handlers:
        yield
        return
    before = [(one.level, one.propagate) for one in loggers]
    for one in loggers:
        one.addHandler(_EAR)
        one.setLevel(logging.INFO)
        one.propagate = False
    try:
        yield
    finally:
        for one, (level, propagate) in zip(loggers, before, strict=True):
            one.removeHandler(_EAR)
            one.setLevel(level)
            one.propagate = propagate


@contextmanager
def listening(journal: Journal) -> Iterator[None]:
    """Inside, what is logged becomes part of `journal`."""
    with all_ears():
        _EAR.journal = journal
        try:
            yield
        finally:
            _EAR.journal = None
