"""A bundle's events checked by all cores, each with its share of the parts."""

import json
import mmap
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from infra.ledger import history
from infra.ledger.bundle import BundleUnreadable
from infra.ledger.history import Advance, Outcome, Share, Sound
from infra.ledger.stream import Broken

KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": "67108864", "MALLOC_MMAP_THRESHOLD_": "67108864"}
"""mallopt(3): a process does not give back between two parts what the next needs again."""
PARALLEL_EVENTS = 100_000
"""From here on it pays to start processes."""


class Checking(NamedTuple):
    """What `history.check` finds in each share, once that is there, and what it found sound."""

    outcomes: Iterator[Outcome]
    sound: Sound
    """Complete when all outcomes are there."""


@contextmanager
def checking(archive: zipfile.ZipFile, size: int, advance: Advance) -> Iterator[Checking]:
    """Check a ledger of `size` events, while the block does other work.

    A long one is shared by all cores if it is in a file, which each process opens by itself.
    """
    cores = os.cpu_count() or 1
    if size < PARALLEL_EVENTS or cores == 1 or archive.filename is None:
        alone = bytearray(size)
        yield Checking((history.check(archive, Share(), alone, advance) for _ in range(1)), alone)
        return
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.TemporaryFile())
        file.truncate(max(size, 1))
        sound = stack.enter_context(mmap.mmap(file.fileno(), 0))
        shares = [Share(number, cores) for number in range(cores)]
        started = [
            stack.enter_context(_process(archive.filename, share, file.fileno()))
            for share in shares
        ]
        yield Checking((_outcome(process, advance) for process in started), sound)


@contextmanager
def _process(path: str, share: Share, file: int) -> Iterator["subprocess.Popen[str]"]:
    # A process of its own, not one of `multiprocessing`: that would load the caller's program.
    argv = [sys.executable, "-P", "-m", history.__name__, path, *map(str, (*share, file))]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, text=True, pass_fds=[file], env=os.environ | KEEP_MEMORY
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _outcome(process: "subprocess.Popen[str]", advance: Advance) -> Outcome:
    """The share's outcome, once it is there."""
    for line in process.stdout or ():
        told = json.loads(line)
        if isinstance(told, int):
            advance(told)
            continue
        if "unreadable" in told:
            raise BundleUnreadable(told["unreadable"])
        for name in ("broken", "stray"):
            told[name] = told[name] and Broken(*told[name])
        return Outcome(**told)
    raise ChildProcessError(f"the check of a share ended with {process.wait()}")
