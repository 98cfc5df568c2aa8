"""The command line, run as a user runs it, in this process."""

import io
from typing import NamedTuple

import pytest

from api.cli import main


class Told(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


class Console:
    """Runs commands; the environment is what the test set."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]
    ) -> None:
        self._monkeypatch = monkeypatch
        self._captured = captured

    def run(self, *argv: str, said: str = "") -> Told:
        """`codex-media ARGV`; what is `said` comes from its stdin."""
        self._captured.readouterr()
        self._monkeypatch.setattr("sys.stdin", io.StringIO(said))
        self._monkeypatch.setattr("sys.argv", ["codex-media", *argv])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = self._captured.readouterr()
        return Told(int(end.value.code or 0), out, err)
