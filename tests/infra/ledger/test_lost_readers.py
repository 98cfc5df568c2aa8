"""F28: readers of the ledger need no notification, and lose nothing with their connection."""

import asyncio
from uuid import uuid4

from infra.ledger.reader import PAGE, LedgerReader
from infra.ledger.sealer import Sealer
from infra.postgres.event_store import PostgresEventStore
from infra.postgres.pool import UNAVAILABLE, Pool, open_pool
from infra.settings import Settings
from tests.faults.fault import Action, Fault, Stage
from tests.faults.proxy import Proxy
from tests.faults.ways import proxied_database
from tests.infra.lives import REQUESTED, live

LIVES = 2 * PAGE // sum(len(events) for events in REQUESTED) + 10
"""Whose events fill two pages and begin a third."""
WRITERS = 20
CUTS = (0, 1, 3000, 200_000, 600_000, 900_000)
"""Bytes of answers after which a reader's connection is lost: before, in and after a page."""


class Follower:
    """A reader of the ledger that polls from where it is, and is never told of anything."""

    def __init__(self, pool: Pool) -> None:
        self._reader = LedgerReader(pool)
        self.seen: list[int] = []
        self.positions: set[int] = set()
        self.lost = 0

    async def poll(self) -> None:
        """Read on from the last event seen, as far as the connection lasts."""
        try:
            async for event in self._reader.events(self.seen[-1] if self.seen else 0):
                self.seen.append(event.seq)
                self.positions.add(event.stored.position)
        except UNAVAILABLE:
            self.lost += 1

    async def poll_through(self, proxy: Proxy) -> None:
        """Poll with a connection that is lost in ever other places, and once more to the end."""
        for after in CUTS:
            proxy.arm(Fault(Stage.TO_CLIENT, Action.RESET, after))
            await self.poll()
        proxy.disarm()
        await self.poll()


async def write(pool: Pool, settings: Settings, count: int) -> None:
    """So many lives, sealed."""
    store, sealer = PostgresEventStore(pool), Sealer(pool, settings)
    for done in range(0, count, WRITERS):
        now = min(WRITERS, count - done)
        await asyncio.gather(*(live(store, REQUESTED, uuid4()) for _ in range(now)))
    while await sealer.seal_once():
        continue


async def test_f28_reader_whose_connection_drops_misses_nothing_and_sees_nothing_twice(
    dsn: str, pool: Pool, settings: Settings
) -> None:
    await write(pool, settings, LIVES)
    async with proxied_database(dsn) as (proxy, through), open_pool(through, 1) as own:
        follower = Follower(own)
        await follower.poll_through(proxy)
        assert follower.lost >= 3
        await write(pool, settings, 3)  # what is sealed while nobody listens
        await follower.poll_through(proxy)
    size = await pool.fetchval("SELECT count(*) FROM events")
    assert size > 2 * PAGE
    assert follower.seen == list(range(1, size + 1))
    assert len(follower.positions) == size
