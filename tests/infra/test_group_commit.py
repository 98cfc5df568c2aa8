"""Appends that share transactions: each alone in its fate, whatever happens to the others."""

import asyncio
import time
from collections.abc import AsyncIterator
from itertools import pairwise
from uuid import UUID, uuid4

import asyncpg
import pytest
import pytest_asyncio

from domain.errors import ConcurrencyConflict, StoreInterrupted
from domain.events import Event, StoredEvent
from domain.handler import handle
from domain.media import evolve, fold
from infra.postgres.event_store import PostgresEventStore
from infra.postgres.group_commit import MIN_SHARE, AppendRefused
from infra.postgres.pool import Pool, open_pool
from tests import factories as f
from tests.infra import lives
from tests.infra.lives import append, live

CALLERS = 100


@pytest.fixture
def store(pool: Pool) -> PostgresEventStore:
    return PostgresEventStore(pool)


@pytest_asyncio.fixture
async def holder(dsn: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection that may lock rows and end other sessions."""
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


async def register(store: PostgresEventStore, media_id: UUID) -> list[StoredEvent]:
    """Append the first event of an item."""
    return await append(store, [f.registered()], media_id)


async def expire(
    store: PostgresEventStore, media_id: UUID, version: int = 1, command_id: UUID | None = None
) -> list[StoredEvent]:
    """Append the end of an upload, without reading first."""
    events: list[Event] = [f.registered(), f.upload_expired()]
    item = fold(events)
    assert item is not None
    return await store.append(
        media_id, version, events[1:], item, f.context(), command_id=command_id or uuid4()
    )


async def submit(store: PostgresEventStore, media_id: UUID, job_id: str) -> list[StoredEvent]:
    """Append a life up to an accepted job, at once."""
    events = (*f.transcoding()[:-1], f.transcoding_submitted(1, job_id))
    item = fold(events)
    assert item is not None
    return await store.append(media_id, 0, events, item, f.context(), command_id=uuid4())


async def hold(holder: "asyncpg.Connection[asyncpg.Record]", media_id: UUID) -> None:
    """Lock a stream's head, so that appends to it wait until ROLLBACK."""
    await holder.execute("BEGIN")
    await holder.execute("SELECT FROM streams WHERE stream_id = $1 FOR UPDATE", media_id)


async def waiting_for_locks(
    holder: "asyncpg.Connection[asyncpg.Record]", count: int = 1
) -> list[int]:
    """The server processes that wait for a row, once there are `count`."""
    for _ in range(500):
        await holder.execute("SELECT pg_stat_clear_snapshot()")  # it lasts a transaction otherwise
        found = await holder.fetch(
            "SELECT pid FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        if len(found) >= count:
            return [row["pid"] for row in found]
        await asyncio.sleep(0.01)
    raise AssertionError(f"fewer than {count} appends wait")


async def occupy_lanes(
    store: PostgresEventStore, holder: "asyncpg.Connection[asyncpg.Record]"
) -> list["asyncio.Task[list[StoredEvent]]"]:
    """Appends that keep every lane busy until `holder` rolls back."""
    blocked = [uuid4(), uuid4()]
    for media_id in blocked:
        await register(store, media_id)
    await holder.execute("BEGIN")
    await holder.execute("SELECT FROM streams FOR UPDATE")
    tasks = []
    for number, media_id in enumerate(blocked, 1):
        tasks.append(asyncio.create_task(expire(store, media_id)))
        await waiting_for_locks(holder, number)
    return tasks


async def test_each_of_many_concurrent_appends_is_written_once(
    store: PostgresEventStore, pool: Pool
) -> None:
    ids = [uuid4() for _ in range(CALLERS)]
    answers = await asyncio.gather(*(register(store, media_id) for media_id in ids))
    assert [(stored.stream_id, stored.version) for (stored,) in answers] == [(i, 1) for i in ids]
    kept = await pool.fetch("SELECT stream_id, position FROM events")
    assert {(row["stream_id"], row["position"]) for row in kept} == {
        (stored.stream_id, stored.position) for (stored,) in answers
    }
    assert len(kept) == CALLERS


@pytest.mark.parametrize(("callers", "most"), [(16, 9), (MIN_SHARE, MIN_SHARE)])
async def test_lanes_share_what_waits_unless_it_is_little(
    store: PostgresEventStore,
    pool: Pool,
    holder: "asyncpg.Connection[asyncpg.Record]",
    callers: int,
    most: int,
) -> None:
    # What was answered before counts no more.
    await asyncio.gather(*(register(store, uuid4()) for _ in range(CALLERS)))
    occupied = await occupy_lanes(store, holder)
    ids = [uuid4() for _ in range(callers)]
    waiting = asyncio.gather(*(register(store, media_id) for media_id in ids))
    await asyncio.sleep(0.05)
    await holder.execute("ROLLBACK")
    await asyncio.gather(waiting, *occupied)
    sizes = "SELECT count(*) FROM events WHERE stream_id = ANY ($1) GROUP BY xmin"
    largest = max(row["count"] for row in await pool.fetch(sizes, ids))
    assert MIN_SHARE <= largest <= most


async def test_refused_appends_do_not_fail_their_neighbours(
    store: PostgresEventStore, holder: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    good, behind, forbidden, doubled = (uuid4() for _ in range(4))
    await live(store, lives.REQUESTED, forbidden)
    await submit(store, doubled, f.job_id())
    occupied = await occupy_lanes(store, holder)
    item = fold(f.transcoding())
    assert item is not None
    gathered = asyncio.gather(
        register(store, good),
        submit(store, uuid4(), f.job_id()),
        register(store, uuid4()),
        expire(store, behind, version=7),
        store.append(forbidden, 3, [f.registered()], item, f.context(), command_id=uuid4()),
        return_exceptions=True,
    )
    await asyncio.sleep(0.05)
    await holder.execute("ROLLBACK")
    first, taken, last, conflict, refusal = await gathered
    await asyncio.gather(*occupied)
    assert isinstance(first, list)
    assert isinstance(last, list)
    assert isinstance(conflict, ConcurrencyConflict)
    assert isinstance(refusal, AppendRefused)
    assert refusal.sqlstate == "CM002"
    assert isinstance(taken, AppendRefused)
    assert taken.sqlstate == "23505"  # unique_violation
    assert [stored.version for stored in await store.load(good)] == [1]
    assert await store.load(behind) == []


async def test_appends_to_one_stream_in_one_batch_are_chained_or_refused(
    store: PostgresEventStore, holder: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    media_id = uuid4()
    await submit(store, media_id, f.job_id())
    occupied = await occupy_lanes(store, holder)
    item = evolve(fold(f.transcoding()), f.transcoding_started())
    after = evolve(item, f.transcoding_started())
    gathered = asyncio.gather(
        *(
            store.append(
                media_id, version, [f.transcoding_started()], made, f.context(), command_id=uuid4()
            )
            for version, made in ((4, item), (4, item), (5, after))
        ),
        return_exceptions=True,
    )
    await asyncio.sleep(0.05)
    await holder.execute("ROLLBACK")
    first, second, third = await gathered
    await asyncio.gather(*occupied)
    assert isinstance(second, ConcurrencyConflict)
    assert isinstance(first, list)
    assert isinstance(third, list)
    loaded = await store.load(media_id)
    assert [stored.version for stored in loaded] == [1, 2, 3, 4, 5, 6]
    assert all(later.prev_hash == earlier.hash for earlier, later in pairwise(loaded))


async def test_cancelled_callers_do_not_disturb_the_others(
    store: PostgresEventStore, holder: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    occupied = await occupy_lanes(store, holder)
    gone = [uuid4() for _ in range(20)]
    staying = [uuid4() for _ in range(20)]
    leavers = [asyncio.create_task(register(store, media_id)) for media_id in gone]
    stayers = [asyncio.create_task(register(store, media_id)) for media_id in staying]
    await asyncio.sleep(0.05)
    occupied[0].cancel()  # its append is under way
    for task in leavers:
        task.cancel()
    await holder.execute("ROLLBACK")
    answers = await asyncio.gather(*stayers)
    await asyncio.gather(*leavers, *occupied, return_exceptions=True)
    assert [stored.stream_id for (stored,) in answers] == staying
    assert [await store.load(media_id) for media_id in gone] == [[]] * len(gone)


async def test_lost_connection_interrupts_its_whole_batch_and_no_other(
    store: PostgresEventStore, holder: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    occupied = await occupy_lanes(store, holder)
    ids = [uuid4() for _ in range(MIN_SHARE)]
    await holder.execute("ROLLBACK")
    await asyncio.gather(*occupied, *(register(store, media_id) for media_id in ids))
    await hold(holder, max(ids))
    alone = asyncio.create_task(expire(store, max(ids)))
    (first,) = await waiting_for_locks(holder)
    # A batch is taken in the order of its streams: all others are written when it comes to wait.
    batch = [asyncio.create_task(expire(store, media_id)) for media_id in ids]
    pids = await waiting_for_locks(holder, 2)
    later = asyncio.create_task(register(store, uuid4()))  # waits for a free lane
    await asyncio.sleep(0)
    await holder.execute("SELECT pg_terminate_backend($1)", *(set(pids) - {first}))
    outcomes = await asyncio.gather(*batch, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StoreInterrupted] * len(ids)
    assert [stored.version for stored in await later] == [1]
    assert {len(await store.load(media_id)) for media_id in ids} == {1}
    await holder.execute("ROLLBACK")
    assert [stored.version for stored in await alone] == [2]


async def test_command_sent_again_after_a_lost_answer_is_recognised(
    store: PostgresEventStore,
) -> None:
    media_id, command_id = uuid4(), uuid4()
    await register(store, media_id)
    first = await expire(store, media_id, command_id=command_id)
    again = await expire(store, media_id, command_id=command_id)
    assert again == first
    assert len(await store.load(media_id)) == 2


async def test_handler_survives_the_end_of_its_connection(
    store: PostgresEventStore, holder: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await live(store, lives.REGISTERED)
    await hold(holder, f.MEDIA_ID)
    task = asyncio.create_task(handle(store, f.MEDIA_ID, f.complete_upload(), f.context()))
    (pid,) = await waiting_for_locks(holder)
    await holder.execute("SELECT pg_terminate_backend($1)", pid)
    await holder.execute("ROLLBACK")
    handled = await task
    assert handled.item.version == 3
    assert [stored.version for stored in handled.appended] == [2, 3]
    assert len(await store.load(f.MEDIA_ID)) == 3


async def test_lone_caller_waits_for_no_company(store: PostgresEventStore) -> None:
    await register(store, uuid4())
    began = time.perf_counter()
    for _ in range(20):
        await register(store, uuid4())
    assert (time.perf_counter() - began) / 20 < 0.05


async def test_batches_that_meet_in_opposite_orders_never_lock_each_other_out(
    dsn: str, holder: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async with open_pool(dsn, 4) as one, open_pool(dsn, 4) as other:
        stores = (PostgresEventStore(one), PostgresEventStore(other))
        first, held, last = [uuid4() for _ in range(3)]
        for media_id in (first, held, last):
            await register(stores[0], media_id)
        await hold(holder, held)
        batches = []
        for store, order in zip(stores, ((first, held, last), (last, held, first)), strict=True):
            batches.append(asyncio.gather(*(expire_if_first(store, i) for i in order)))
            await waiting_for_locks(holder, len(batches))
        await holder.execute("ROLLBACK")
        won = [await batch for batch in batches]
    assert [mine != theirs for mine, theirs in zip(won[0], reversed(won[1]), strict=True)] == [
        True
    ] * 3


async def expire_if_first(store: PostgresEventStore, media_id: UUID) -> bool:
    """Whether this append won."""
    try:
        await expire(store, media_id)
    except ConcurrencyConflict:
        return False
    return True
