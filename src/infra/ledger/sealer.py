"""The sealer gives committed events their place in the ledger and signs what it sealed.

Positions are handed out before their transactions commit, so that they become visible out of
order. The sealer numbers what it can see, and what it numbered stays as it is: a reader of `seq`
misses nothing, a reader of `position` does.
"""

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import asyncpg

from infra.fault_points import reach
from infra.ledger import merkle
from infra.ledger.checkpoint import SigningKey
from infra.postgres.pool import Pool
from infra.postgres.queries import sql
from infra.settings import Settings

if TYPE_CHECKING:  # asyncpg's classes take no parameters when run
    from asyncpg.pool import PoolConnectionProxy

    Acquired = PoolConnectionProxy[asyncpg.Record]

BATCH = 10_000
"""Events, a few tenths of a second of work: what a batch costs by itself does not show any more."""
CHANNEL = "ledger"
"""Notified with the ledger's size, once a batch."""


class Head(NamedTuple):
    """How far the ledger is sealed, and what the newest checkpoint covers of it."""

    size: int
    frontier: list[bytes]
    signed_size: int
    signed_at: datetime | None
    now: datetime


async def _head(connection: "Acquired") -> Head:
    row = await connection.fetchrow(sql("ledger_head"))
    if row is None:  # A row is there from the migration on, and nobody may delete it.
        raise LookupError("the ledger has lost its head")
    return Head(*row)


class Sealer:
    """Seals batches and signs checkpoints. Any number may run: one works, the others pass."""

    def __init__(self, pool: Pool, settings: Settings) -> None:
        self._pool = pool
        self._key = SigningKey(*settings.ledger_signer)
        self._events = settings.ledger_checkpoint_events
        self._seconds = settings.ledger_checkpoint_s

    async def seal_once(self) -> bool:
        """Seal a batch and sign it if a checkpoint is due; whether more may wait already."""
        async with self._pool.acquire() as connection, connection.transaction():
            if not await connection.fetchval(sql("lease_sealer")):
                return False
            head = await _head(connection)
            waiting = await connection.fetch(sql("unsealed"), BATCH)
            frontier = merkle.extend(head.size, head.frontier, (row["hash"] for row in waiting))
            size = head.size + len(waiting)
            if waiting:
                positions = [row["position"] for row in waiting]
                await connection.execute(sql("seal"), head.size, positions, frontier)
            if self._due(head, size):
                await self._sign(connection, size, merkle.root(frontier))
            if waiting:
                await connection.execute(sql("notify_ledger"), CHANNEL, str(size))
        if waiting:
            reach("sealer", "committed")
        return len(waiting) == BATCH

    def _due(self, head: Head, size: int) -> bool:
        if size == head.signed_size:
            return False
        if size - head.signed_size >= self._events or head.signed_at is None:
            return True
        return (head.now - head.signed_at).total_seconds() >= self._seconds

    async def _sign(self, connection: "Acquired", size: int, root: bytes) -> None:
        note = self._key.sign(size, root)
        await connection.execute(
            sql("keep_checkpoint"), size, root, self._key.public.key_id.hex(), note
        )
