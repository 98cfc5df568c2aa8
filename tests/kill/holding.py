"""Holding a statement of a process half-way, inside the server, to end the process meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg

HELD_LIMIT_S = 30.0
WAITING = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


class Held:
    """What stops at a lock of ours."""

    def __init__(self, holder: "asyncpg.Connection[asyncpg.Record]", dsn: str) -> None:
        self._holder = holder
        self._dsn = dsn

    async def stopped(self) -> int:
        """Wait until a statement stops at the lock; the server process that runs it."""
        watcher = await asyncpg.connect(self._dsn)
        try:
            async with asyncio.timeout(HELD_LIMIT_S):
                while (found := await watcher.fetchval(WAITING)) is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        finally:
            await watcher.close()
        pid: int = found
        return pid

    async def cut(self, pid: int) -> None:
        """End a server process, as a crash of the database would."""
        await self._holder.execute(f"SELECT pg_terminate_backend({pid})")

    async def release(self) -> None:
        """Let it go on."""
        await self._holder.execute("ROLLBACK")


@asynccontextmanager
async def holding(dsn: str, statement: str, *arguments: object) -> AsyncIterator[Held]:
    """While inside, what `statement` locks is ours."""
    holder = await asyncpg.connect(dsn)
    try:
        await holder.execute("BEGIN")
        await holder.execute(statement, *arguments)
        yield Held(holder, dsn)
    finally:
        await holder.close()


@asynccontextmanager
async def holding_row(dsn: str, media_id: UUID) -> AsyncIterator[Held]:
    """The projected row of an item: an append stops between its events and their projection."""
    statement = "SELECT FROM media_items WHERE id = $1 FOR UPDATE"
    async with holding(dsn, statement, media_id) as held:
        yield held
