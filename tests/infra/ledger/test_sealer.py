"""The sealer: everything that was committed gets one place, whoever seals and whatever breaks."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from infra.ledger import checkpoint, merkle, sealer
from infra.ledger.checkpoint import SigningKey
from infra.ledger.reader import LedgerReader
from infra.ledger.sealer import Sealer
from infra.postgres.event_store import PostgresEventStore
from infra.postgres.pool import UNAVAILABLE, Pool, open_pool
from infra.settings import Settings, load
from tests.infra.lives import REQUESTED, live
from tests.infra.variables import ENVIRON

LIFE = sum(len(part) for part in REQUESTED)


def settings(**changed: str) -> Settings:
    """Settings that sign at once, unless changed."""
    return load(ENVIRON | {"LEDGER_CHECKPOINT_S": "0"} | changed)


async def lives(pool: Pool, count: int) -> int:
    """So many lives at once; how many events they are."""
    store = PostgresEventStore(pool)
    await asyncio.gather(*(live(store, REQUESTED, uuid4()) for _ in range(count)))
    return count * LIFE


async def expect_whole(pool: Pool, size: int) -> None:
    """Every event has one place, in the order of its stream, and the newest checkpoint says so."""
    rows = await pool.fetch(
        "SELECT seq, hash, stream_id, version FROM ledger JOIN events USING (position) ORDER BY seq"
    )
    assert [row["seq"] for row in rows] == list(range(1, size + 1))
    assert await pool.fetchval("SELECT count(*) FROM unsealed") == 0
    versions: dict[object, int] = {}
    for row in rows:
        assert row["version"] == versions.get(row["stream_id"], 0) + 1
        versions[row["stream_id"]] = row["version"]
    kept = await LedgerReader(pool).checkpoint()
    assert kept is not None
    key = SigningKey(*settings().ledger_signer).public
    stated = checkpoint.verify(kept.note, key)
    frontier = merkle.extend(0, [], (row["hash"] for row in rows))
    assert stated == (key.name, size, merkle.root(frontier))
    assert (kept.size, kept.root, kept.key_id) == (size, stated.root, key.key_id.hex())


async def test_every_event_gets_a_place_and_a_signature(pool: Pool) -> None:
    found = Sealer(pool, settings())
    assert not await found.seal_once()
    assert await LedgerReader(pool).checkpoint() is None
    first = await lives(pool, 3)
    assert not await found.seal_once()
    await expect_whole(pool, first)
    second = await lives(pool, 2)
    assert not await found.seal_once()
    await expect_whole(pool, first + second)


async def test_places_are_given_by_position_however_the_queue_lies(pool: Pool, owner: Pool) -> None:
    size = await lives(pool, 3)
    await owner.execute("DELETE FROM unsealed")
    await owner.execute("INSERT INTO unsealed SELECT position FROM events ORDER BY position DESC")
    await Sealer(pool, settings()).seal_once()
    await expect_whole(pool, size)


async def test_full_batch_says_that_there_may_be_more(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealer, "BATCH", LIFE)
    size = await lives(pool, 2)
    found = Sealer(pool, settings())
    assert [await found.seal_once() for _ in range(3)] == [True, True, False]
    await expect_whole(pool, size)


async def test_checkpoint_waits_for_its_number_of_events_or_its_time(pool: Pool) -> None:
    found = Sealer(pool, settings(LEDGER_CHECKPOINT_S="1", LEDGER_CHECKPOINT_EVENTS=f"{2 * LIFE}"))

    async def signed() -> list[int]:
        return [row[0] for row in await pool.fetch("SELECT size FROM checkpoints ORDER BY size")]

    for _ in range(3):  # the first is signed at once, the third reaches the number
        await lives(pool, 1)
        await found.seal_once()
    assert await signed() == [LIFE, 3 * LIFE]
    await lives(pool, 1)
    await found.seal_once()
    assert await signed() == [LIFE, 3 * LIFE]
    await asyncio.sleep(1.05)
    await found.seal_once()
    await expect_whole(pool, 4 * LIFE)


async def test_f37_several_sealers_at_once_do_the_work_of_one(pool: Pool, dsn: str) -> None:
    async with open_pool(dsn, 4) as second_pool:
        sealers = [Sealer(pool, settings()), Sealer(second_pool, settings())] * 3
        writing = asyncio.create_task(lives(pool, 40))
        while not writing.done():
            await asyncio.gather(*(each.seal_once() for each in sealers))
        while await pool.fetchval("SELECT count(*) FROM unsealed"):
            await asyncio.gather(*(each.seal_once() for each in sealers))
    await expect_whole(pool, writing.result())


async def test_sealer_whose_connection_is_cut_leaves_no_half_batch(
    pool: Pool, owner: Pool, dsn: str
) -> None:
    size = await lives(pool, 20)
    for table in ("ledger", "checkpoints"):
        async with open_pool(dsn, 1) as own, owner.acquire() as blocker:
            victim = await own.fetchval("SELECT pg_backend_pid()")
            async with blocker.transaction():
                await blocker.execute(f"LOCK TABLE {table} IN SHARE MODE")
                sealing = asyncio.create_task(Sealer(own, settings()).seal_once())
                await waits_for_a_lock(owner, victim)
                await owner.execute("SELECT pg_terminate_backend($1)", victim)
                with pytest.raises(UNAVAILABLE):
                    await sealing
        assert await pool.fetchval("SELECT count(*) FROM ledger") == 0
        assert await pool.fetchval("SELECT size FROM ledger_head") == 0
        assert await pool.fetchval("SELECT count(*) FROM unsealed") == size
    await Sealer(pool, settings()).seal_once()
    await expect_whole(pool, size)


async def waits_for_a_lock(owner: Pool, pid: int) -> None:
    """Return when that connection's statement is held up."""
    for _ in range(1000):
        if await owner.fetchval(
            "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $1", pid
        ):
            return
        await asyncio.sleep(0.01)
    raise TimeoutError("the sealer never waited for the lock")


@pytest_asyncio.fixture
async def told(dsn: str) -> AsyncIterator[asyncio.Queue[str]]:
    """What is notified on the ledger's channel."""
    heard: asyncio.Queue[str] = asyncio.Queue()
    connection = await asyncpg.connect(dsn)
    await connection.add_listener(sealer.CHANNEL, lambda *call: heard.put_nowait(str(call[3])))
    yield heard
    await connection.close()


async def test_listeners_are_told_once_a_batch(pool: Pool, told: asyncio.Queue[str]) -> None:
    found = Sealer(pool, settings())
    await lives(pool, 3)
    await found.seal_once()
    await found.seal_once()
    await lives(pool, 1)
    await found.seal_once()
    assert await asyncio.wait_for(told.get(), 5) == str(3 * LIFE)
    assert await asyncio.wait_for(told.get(), 5) == str(4 * LIFE)
    assert told.empty()


async def test_frontier_that_does_not_fit_is_not_taken(pool: Pool) -> None:
    await lives(pool, 1)
    positions = [row[0] for row in await pool.fetch("SELECT position FROM unsealed")]
    for size, chosen in ((1, positions), (0, [*positions, 10**9])):
        with pytest.raises(asyncpg.PostgresError) as refused:
            await pool.execute("SELECT seal($1, $2, $3)", size, chosen, [])
        assert refused.value.sqlstate == "CM003"
    assert await pool.fetchval("SELECT size FROM ledger_head") == 0
