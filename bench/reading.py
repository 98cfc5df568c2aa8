"""What reading the whole history costs: replay and the verification of an export."""

import time
from pathlib import Path
from typing import NamedTuple

from bench.contenders import CONNECTIONS
from bench.database import settings_of
from infra.ledger.checkpoint import SigningKey
from infra.ledger.export import export
from infra.ledger.verifier import verify
from infra.postgres.pool import open_pool
from infra.postgres.replay import open_replay

COUNT = "SELECT count(*) FROM events"


class Replayed(NamedTuple):
    """Events per second, and the most memory the server's process had by itself (MiB)."""

    rate: float
    memory_mib: float


async def replay(dsn: str) -> Replayed:
    """Rebuild the projection of the whole history."""
    async with open_replay(dsn) as replaying:
        connection = replaying.connection
        events = await connection.fetchval(COUNT)
        began = time.perf_counter()
        await replaying.rebuild(lambda _span, _found: None)
        seconds = time.perf_counter() - began
        return Replayed(events / seconds, _private_memory_mib(connection.get_server_pid()))


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


def verification(file: Path) -> float:
    """Events per second of a whole verification: signatures, tree, chains, projection."""
    began = time.perf_counter()
    verdict = verify(file)
    seconds = time.perf_counter() - began
    if not verdict.ok:
        raise RuntimeError(f"the export does not verify: {verdict.findings[0]}")
    return verdict.events / seconds
