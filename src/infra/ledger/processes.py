"""A bundle's events checked by all cores, each with its share of the streams."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from infra.ledger import bundle, history
from infra.ledger.bundle import BundleUnreadable
from infra.ledger.history import Advance, Broken, Outcome
from infra.ledger.share import Share

PARALLEL_EVENTS = 100_000
"""From here on it pays to start processes."""


@contextmanager
def checking(archive: zipfile.ZipFile, advance: Advance) -> Iterator[Iterator[Outcome]]:
    """What `history.check` finds in each share. Checking goes on while the block does other work.

    A long ledger is shared by all cores if it is in a file, which each process opens by itself.
    """
    cores = os.cpu_count() or 1
    size = archive.getinfo(bundle.LEAVES).file_size // bundle.HASH_BYTES
    if size < PARALLEL_EVENTS or cores == 1 or archive.filename is None:
        yield (history.check(archive, Share(), advance) for _ in range(1))
        return
    with ExitStack() as stack:
        started = [stack.enter_context(_process(archive.filename, n, cores)) for n in range(cores)]
        yield (_outcome(process, number, advance) for number, process in enumerate(started))


@contextmanager
def _process(path: str, number: int, of: int) -> Iterator["subprocess.Popen[str]"]:
    # A process of its own, not one of `multiprocessing`: that would load the caller's program.
    argv = [sys.executable, "-P", "-m", history.__name__, path, str(number), str(of)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _outcome(process: "subprocess.Popen[str]", number: int, advance: Advance) -> Outcome:
    """The share's outcome, once it is there. The first share tells of the progress of all."""
    for line in process.stdout or ():
        told = json.loads(line)
        if isinstance(told, int):
            advance(told if number == 0 else 0)
            continue
        if "unreadable" in told:
            raise BundleUnreadable(told["unreadable"])
        broken = Broken(*told.pop("broken")) if told["broken"] else told.pop("broken")
        return Outcome(**told, broken=broken)
    raise ChildProcessError(f"the check of share {number} ended with {process.wait()}")
