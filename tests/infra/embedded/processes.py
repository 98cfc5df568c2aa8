"""What the tests need to know of processes."""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[3]
SDK_WORKER = (sys.executable, str(Path(__file__).with_name("sdk_worker.py")))


def tree(pid: int) -> list[psutil.Process]:
    """Every process below `pid`."""
    return psutil.Process(pid).children(recursive=True)


def commands_below(pid: int) -> list[list[str]]:
    """The command lines of the processes below `pid`, without those that end meanwhile."""
    commands = []
    for process in tree(pid):
        with suppress(psutil.NoSuchProcess):
            commands.append(process.cmdline())
    return commands


class Started:
    """The processes below this one that were not there when the object was made."""

    def __init__(self) -> None:
        self._before = set(tree(os.getpid()))

    def now(self) -> list[psutil.Process]:
        return [process for process in tree(os.getpid()) if process not in self._before]


def running(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that still run; a zombie does not."""

    def runs(process: psutil.Process) -> bool:
        try:
            return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    return [process for process in processes if runs(process)]


def still_running(processes: Iterable[psutil.Process], within_s: float) -> list[psutil.Process]:
    """Those that have not ended after `within_s` seconds, whoever is to reap them."""
    deadline = time.monotonic() + within_s
    while (left := running(processes)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


async def eventually(
    check: Callable[[], bool] | Callable[[], Awaitable[bool]], within_s: float
) -> bool:
    """Whether `check` comes true within `within_s` seconds."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        outcome = check()
        if outcome if isinstance(outcome, bool) else await outcome:
            return True
        await asyncio.sleep(0.05)
    return False
