"""Writers that append through the real store and hold their transactions open for a while."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg

from infra.postgres.event_store import PostgresEventStore
from infra.postgres.pool import Pool, open_pool
from tests.infra.lives import REGISTERED, live

MAX_HOLD_S = 0.02

_HOLD = """
CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_sleep(random() * {seconds});
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER hold AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION hold();
"""


async def hold_commits(owner: Pool) -> None:
    """Let every append wait a random while before it commits, its positions already taken."""
    await owner.execute(_HOLD.format(seconds=MAX_HOLD_S))


async def write(dsn: str, writers: int, seconds: float) -> int:
    """Append new streams from so many connections for a while; how many events that made."""
    end = time.monotonic() + seconds

    async def writer() -> int:
        written = 0
        async with open_pool(dsn, 1) as own:
            store = PostgresEventStore(own)
            while time.monotonic() < end:
                await live(store, REGISTERED, uuid4())
                written += 1
        return written

    return sum(await asyncio.gather(*(writer() for _ in range(writers))))


class Follower:
    """Polls a global order: everything after the last number it saw."""

    def __init__(self, statement: str) -> None:
        self._statement = statement
        self.numbers: list[int] = []
        self.positions: list[int] = []

    async def poll(self, connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]") -> None:
        """Read on from the last number."""
        last = self.numbers[-1] if self.numbers else 0
        for row in await connection.fetch(self._statement, last):
            self.numbers.append(row[0])
            self.positions.append(row[1])


@asynccontextmanager
async def following(pool: Pool, *followers: Follower) -> AsyncIterator[None]:
    """Let them poll until the end of the block, and once after."""
    done = asyncio.Event()

    async def follow() -> None:
        async with pool.acquire() as connection:
            while not done.is_set():
                for each in followers:
                    await each.poll(connection)
                await asyncio.sleep(random.random() * 0.005)  # noqa: S311 - only a pause

    task = asyncio.create_task(follow())
    try:
        yield
    finally:
        done.set()
        await task
    async with pool.acquire() as connection:
        for each in followers:
            await each.poll(connection)
