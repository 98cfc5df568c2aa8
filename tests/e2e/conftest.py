"""The whole product as a user runs it: `codex-media up` in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from api.cli.place import RUNNING, client
from codex_media import MediaClient
from gpu_worker.settings import EncodeSettings
from gpu_worker.tools import Tools, find_tools
from tests.gpu_worker.clips import Clips
from tests.processes import remove_database

START_LIMIT_S = 60.0
STOP_LIMIT_S = 5.0


class Program(NamedTuple):
    """A started `codex-media` that stays up."""

    process: subprocess.Popen[bytes]
    data: Path

    def settings(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.data / RUNNING).read_text("utf-8"))
        return found

    def everything(self) -> list[psutil.Process]:
        """Its process and all below it."""
        top = psutil.Process(self.process.pid)
        return [top, *top.children(recursive=True)]


def environment() -> dict[str, str]:
    """The environment of a user who has no ffmpeg, PostgreSQL server or S3 on PATH."""
    return {"PATH": "/nowhere", "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8"}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "api.cli", *arguments]


@contextmanager
def started(data: Path, *arguments: str) -> Iterator[Program]:
    """`codex-media ARGUMENTS --data DATA`, from the moment it is up until Ctrl-C has ended it."""
    process = subprocess.Popen(
        command(*arguments, "--data", str(data)),
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        deadline = time.monotonic() + START_LIMIT_S
        while not (data / RUNNING).is_file():
            assert process.poll() is None, process.communicate()[1].decode()
            assert time.monotonic() < deadline, "not up in time"
            time.sleep(0.1)
        yield Program(process, data)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=2 * STOP_LIMIT_S)


@pytest.fixture(scope="session")
def tools() -> Tools:
    return find_tools(EncodeSettings())


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory, tools: Tools) -> Clips:
    return Clips(tmp_path_factory.mktemp("clips"), tools)


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Everything, up: shared by all tests of a run."""
    data = tmp_path_factory.mktemp("up") / "data"
    with started(data, "up") as running:
        yield running
    remove_database(data)


@pytest.fixture
def media_client(program: Program) -> Iterator[MediaClient]:
    """A client of that service, as the demo's creator."""
    with client(program.data) as opened:
        yield opened
