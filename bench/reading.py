"""What reading the whole history costs: replay and the verification of an export."""

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.contenders import CONNECTIONS
from bench.database import settings_of
from infra.ledger.checkpoint import SigningKey
from infra.ledger.export import export
from infra.ledger.verifier import verify
from infra.postgres.pool import open_pool
from infra.postgres.replay import open_replay

WATCH_S = 0.005
COUNT = "SELECT count(*) FROM events"


class Replayed(NamedTuple):
    """Events per second, and the most private memory of both processes meanwhile (MiB)."""

    rate: float
    server_mib: float
    own_mib: float


async def replay(dsn: str) -> Replayed:
    """Rebuild the projection of the whole history, in a process that did nothing before."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, dsn, stdout=asyncio.subprocess.PIPE
    )
    told, _ = await process.communicate()
    return Replayed(*json.loads(told))


async def _replay(dsn: str) -> Replayed:
    async with open_replay(dsn) as replaying:
        connection = replaying.connection
        events = await connection.fetchval(COUNT)
        with _watched(connection.get_server_pid(), os.getpid()) as most:
            began = time.perf_counter()
            await replaying.rebuild(lambda _streams: None)
            seconds = time.perf_counter() - began
        return Replayed(events / seconds, *most)


@contextmanager
def _watched(*pids: int) -> Iterator[list[float]]:
    """The most private memory that each process has while the block runs, seen every few ms."""
    most, over = [0.0 for _ in pids], threading.Event()

    def watch() -> None:
        while True:
            most[:] = map(max, most, map(_private_memory_mib, pids))
            if over.wait(WATCH_S):
                return

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield most
    finally:
        over.set()
        watching.join()


def _private_memory_mib(pid: int) -> float:
    """The resident memory that a process shares with no file: proc_pid_status(5)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    raise LookupError(f"the kernel tells no RssAnon of process {pid}")


async def export_to(dsn: str, file: Path) -> None:
    """Export the bundle an auditor gets."""
    key = SigningKey(*settings_of(dsn).ledger_signer).public
    async with open_pool(dsn, CONNECTIONS) as pool:
        with file.open("wb") as written:
            async for chunk in export(pool, key):
                written.write(chunk)


class Verified(NamedTuple):
    """Events per second, and the processor's time for each of them (µs)."""

    rate: float
    cpu_us: float


def verification(file: Path) -> Verified:
    """A whole verification: signatures, tree, chains, projection."""
    began, used = time.perf_counter(), _cpu_s()
    verdict = verify(file)
    seconds, used = time.perf_counter() - began, _cpu_s() - used
    if not verdict.ok:
        raise RuntimeError(f"the export does not verify: {verdict.findings[0]}")
    return Verified(verdict.events / seconds, 1e6 * used / verdict.events)


def _cpu_s() -> float:
    """What this process and those that it waited for used so far."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_replay(sys.argv[1]))))
