"""A reader of the ledger's order misses nothing, whatever writers do; one of positions does.

`GAP_TEST_S=30 pytest tests/infra/ledger/test_gaps.py -s` runs it for longer and prints figures.
"""

import asyncio
import os

from infra.ledger.sealer import Sealer
from infra.postgres.pool import Pool
from infra.settings import load
from tests.infra.ledger.writers import Follower, following, hold_commits, write
from tests.infra.variables import ENVIRON

SECONDS = float(os.environ.get("GAP_TEST_S", "4"))
WRITERS = 16

LEDGER_ORDER = "SELECT seq, position FROM ledger WHERE seq > $1 ORDER BY seq"
NAIVE_ORDER = "SELECT position, position FROM events WHERE position > $1 ORDER BY position"


async def seal_until(done: asyncio.Event, pool: Pool) -> None:
    """Two sealers, as two replicas of `work` have."""
    sealers = [Sealer(pool, load(ENVIRON)) for _ in range(2)]
    while not done.is_set():
        await asyncio.gather(*(each.seal_once() for each in sealers))
        await asyncio.sleep(0.01)
    while await pool.fetchval("SELECT count(*) FROM unsealed"):
        await sealers[0].seal_once()


async def test_f29_ledger_order_has_no_gaps_and_position_order_has(
    pool: Pool, owner: Pool, dsn: str
) -> None:
    await hold_commits(owner)
    ledger, naive = Follower(LEDGER_ORDER), Follower(NAIVE_ORDER)
    done = asyncio.Event()
    async with following(pool, ledger, naive):
        sealing = asyncio.create_task(seal_until(done, pool))
        written = await write(dsn, WRITERS, SECONDS)
        done.set()
        await sealing
    skipped = written - len(naive.numbers)
    print(f"{written} events; skipped: ledger {written - len(ledger.numbers)}, naive {skipped}")
    assert ledger.numbers == list(range(1, written + 1))
    assert len(set(ledger.positions)) == written
    assert ledger.positions == [
        row["position"] for row in await pool.fetch("SELECT position FROM ledger ORDER BY seq")
    ]
    assert skipped > 0, "the writers never overtook each other: the test proves nothing"
