"""Work queues: leased to one taker at a time, and back by themselves when a taker died."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from domain.lifecycle import Status
from domain.ports import Lease, WatchedJob
from infra.postgres.event_store import PostgresEventStore
from infra.postgres.pool import Pool
from infra.postgres.queries import sql
from infra.postgres.work import (
    FIRST_POLL,
    LAST_POLL,
    LEASE,
    PostgresDeadlines,
    PostgresOutbox,
    PostgresWatchlist,
)
from tests import factories as f
from tests.infra import lives
from tests.infra.lives import append, live

TAKERS = 20


@pytest.fixture
def store(pool: Pool) -> PostgresEventStore:
    return PostgresEventStore(pool)


@pytest.fixture
def outbox(pool: Pool) -> PostgresOutbox:
    return PostgresOutbox(pool)


@pytest.fixture
def watchlist(pool: Pool) -> PostgresWatchlist:
    return PostgresWatchlist(pool)


async def let_the_lease_run_out(pool: Pool) -> None:
    await pool.execute("UPDATE outbox SET next_try_at = next_try_at - $1::interval", LEASE)


async def make_due(pool: Pool) -> None:
    await pool.execute("UPDATE vendor_jobs SET next_poll_at = clock_timestamp()")


async def next_poll_s(pool: Pool) -> float:
    """Seconds until the one job is due."""
    interval: timedelta = await pool.fetchval(
        "SELECT next_poll_at - clock_timestamp() FROM vendor_jobs"
    )
    return interval.total_seconds()


async def test_f37_attempt_is_leased_to_one_of_many_takers(
    store: PostgresEventStore, outbox: PostgresOutbox
) -> None:
    await live(store, lives.REQUESTED)
    taken = await asyncio.gather(*(outbox.take() for _ in range(TAKERS)))
    assert [lease for lease in taken if lease] == [Lease(f.MEDIA_ID, 1, 1)]


@pytest.mark.parametrize(
    ("statement", "arguments"),
    [
        ("take_dispatch", (LEASE,)),
        ("take_dispatch_of", (f.MEDIA_ID, LEASE)),
        ("take_poll", (FIRST_POLL, LAST_POLL)),
    ],
)
async def test_taker_passes_over_what_another_is_just_taking(
    pool: Pool, store: PostgresEventStore, statement: str, arguments: tuple[object, ...]
) -> None:
    await live(store, lives.SUBMITTED)
    await PostgresOutbox(pool).add(f.MEDIA_ID, 1)
    await make_due(pool)
    async with pool.acquire() as first, first.transaction():
        assert await first.fetch(sql(statement), *arguments)
        assert await pool.fetch(sql(statement), *arguments, timeout=2) == []


async def test_takers_of_one_item_and_of_any_share_no_lease(
    store: PostgresEventStore, outbox: PostgresOutbox
) -> None:
    await live(store, lives.REQUESTED)
    ids: list[UUID | None] = [None, f.MEDIA_ID] * (TAKERS // 2)
    taken = await asyncio.gather(*(outbox.take(media_id) for media_id in ids))
    assert len([lease for lease in taken if lease]) == 1


async def test_each_of_many_attempts_is_leased_once(
    store: PostgresEventStore, outbox: PostgresOutbox
) -> None:
    ids = {uuid4() for _ in range(TAKERS // 2)}
    for media_id in ids:
        await live(store, lives.REQUESTED, media_id)
    taken = await asyncio.gather(*(outbox.take() for _ in range(TAKERS)))
    leased = [lease.media_id for lease in taken if lease]
    assert len(leased) == len(set(leased))
    # A taker that meets a row locked by another may go away empty; none stays behind for long.
    while (lease := await outbox.take()) is not None:
        leased.append(lease.media_id)
    assert sorted(leased) == sorted(ids)


async def test_f01_lease_of_a_dead_taker_comes_back_and_counts_the_try(
    pool: Pool, store: PostgresEventStore, outbox: PostgresOutbox
) -> None:
    await live(store, lives.REQUESTED)
    assert await outbox.take() == Lease(f.MEDIA_ID, 1, 1)
    assert await outbox.take() is None
    assert await outbox.take(f.MEDIA_ID) is None
    await let_the_lease_run_out(pool)
    assert await outbox.take(uuid4()) is None
    assert await outbox.take(f.MEDIA_ID) == Lease(f.MEDIA_ID, 1, 2)
    assert await outbox.take(f.MEDIA_ID) is None


async def test_postponed_attempt_is_due_after_its_delay_and_says_why(
    pool: Pool, store: PostgresEventStore, outbox: PostgresOutbox
) -> None:
    await live(store, lives.REQUESTED)
    lease = await outbox.take()
    assert lease is not None
    await outbox.postpone(lease, 0.2, "RunPod answered 503 " + "x" * 1000)
    assert await outbox.take() is None
    reason = await pool.fetchval("SELECT last_error FROM outbox")
    assert reason.startswith("RunPod answered 503")
    assert len(reason) == 500
    await asyncio.sleep(0.25)
    assert await outbox.take() == lease._replace(tries=2)


async def test_dropped_attempt_is_gone_and_an_added_one_is_due_at_once(
    store: PostgresEventStore, outbox: PostgresOutbox
) -> None:
    await live(store, lives.REQUESTED)
    lease = await outbox.take()
    assert lease is not None
    await outbox.add(f.MEDIA_ID, 1)
    assert await outbox.take() is None, "adding what is there must not break its lease"
    await outbox.drop(lease)
    await outbox.drop(lease)
    assert await outbox.take() is None
    await outbox.add(f.MEDIA_ID, 1)
    assert await outbox.take() == Lease(f.MEDIA_ID, 1, 1)


async def test_f37_job_is_leased_to_one_of_many_takers_once_it_is_due(
    pool: Pool, store: PostgresEventStore, watchlist: PostgresWatchlist
) -> None:
    await live(store, lives.SUBMITTED)
    assert await watchlist.take() is None, "a job is asked about 15 s after it was sent"
    assert 10 < await next_poll_s(pool) <= 15
    await make_due(pool)
    taken = await asyncio.gather(*(watchlist.take() for _ in range(TAKERS)))
    assert [job for job in taken if job] == [WatchedJob(f.job_id(), f.MEDIA_ID, 1)]


async def test_f13_polls_grow_apart_from_15_seconds_to_two_minutes(
    pool: Pool, store: PostgresEventStore, watchlist: PostgresWatchlist
) -> None:
    await live(store, lives.SUBMITTED)
    intervals = []
    for _ in range(8):
        await make_due(pool)
        assert await watchlist.take() is not None
        intervals.append(await next_poll_s(pool))
    expected = [15.0, 22.5, 33.75, 50.6, 75.9, 113.9, 120.0, 120.0]
    assert intervals == [pytest.approx(seconds, abs=1.0) for seconds in expected]


async def test_job_that_was_polled_for_days_is_still_polled_every_two_minutes(
    pool: Pool, store: PostgresEventStore, watchlist: PostgresWatchlist
) -> None:
    await live(store, lives.SUBMITTED)
    await pool.execute("UPDATE vendor_jobs SET polls = 10000")
    await make_due(pool)
    assert await watchlist.take() is not None
    assert await next_poll_s(pool) == pytest.approx(120, abs=1)


async def test_hurried_job_is_due_at_once_and_others_are_not(
    store: PostgresEventStore, watchlist: PostgresWatchlist
) -> None:
    await live(store, lives.SUBMITTED)
    other = uuid4()
    await live(store, lives.REQUESTED, other)
    await append(store, [f.transcoding_submitted(1, "other-job")], other)
    await watchlist.hurry(f.MEDIA_ID, 2)
    assert await watchlist.take() is None
    await watchlist.hurry(f.MEDIA_ID, 1)
    assert await watchlist.take() == WatchedJob(f.job_id(), f.MEDIA_ID, 1)
    assert await watchlist.take() is None


async def test_closed_job_is_neither_open_nor_taken_nor_hurried(
    pool: Pool, store: PostgresEventStore, watchlist: PostgresWatchlist
) -> None:
    await live(store, lives.RESUBMITTED)
    first, second = f.job_id(), f.job_id(1, 2)
    assert sorted(await watchlist.open_jobs(f.MEDIA_ID)) == [first, second]
    await watchlist.close(first)
    closed_at = await pool.fetchval("SELECT closed_at FROM vendor_jobs WHERE job_id = $1", first)
    await watchlist.close(first)
    assert closed_at == await pool.fetchval(
        "SELECT closed_at FROM vendor_jobs WHERE job_id = $1", first
    )
    assert await watchlist.open_jobs(f.MEDIA_ID) == [second]
    await watchlist.hurry(f.MEDIA_ID, 1)
    assert await watchlist.take() == WatchedJob(second, f.MEDIA_ID, 1)
    assert await watchlist.take() is None


async def test_job_is_closed_only_for_another_that_is_watched_or_waited_for(
    store: PostgresEventStore, watchlist: PostgresWatchlist, outbox: PostgresOutbox
) -> None:
    await live(store, lives.SUBMITTED)
    assert not await watchlist.close_for_another(f.MEDIA_ID, 1, f.job_id())
    assert await watchlist.open_jobs(f.MEDIA_ID) == [f.job_id()]
    assert await watchlist.close_for_another(f.MEDIA_ID, 1, "a job nobody recorded")
    await outbox.add(f.MEDIA_ID, 1)
    assert await watchlist.close_for_another(f.MEDIA_ID, 1, f.job_id())
    assert await watchlist.open_jobs(f.MEDIA_ID) == []
    assert await watchlist.close_for_another(f.MEDIA_ID, 1, f.job_id()), "it was closed before"


async def test_an_attempt_that_had_its_jobs_waits_for_none_though_it_is_queued(
    store: PostgresEventStore, watchlist: PostgresWatchlist, outbox: PostgresOutbox
) -> None:
    await live(store, lives.RESUBMITTED)
    first, second = f.job_id(), f.job_id(1, 2)
    await outbox.add(f.MEDIA_ID, 1)  # by somebody who had seen one job, and was slow
    assert await watchlist.close_for_another(f.MEDIA_ID, 1, first)
    assert not await watchlist.close_for_another(f.MEDIA_ID, 1, second)
    assert await watchlist.open_jobs(f.MEDIA_ID) == [second]


async def test_of_two_jobs_given_up_at_once_the_last_stays_watched(
    store: PostgresEventStore, watchlist: PostgresWatchlist
) -> None:
    await live(store, lives.RESUBMITTED)
    pair = (f.job_id(), f.job_id(1, 2))
    for _ in range(50):
        closed = await asyncio.gather(
            *(watchlist.close_for_another(f.MEDIA_ID, 1, job_id) for job_id in pair)
        )
        assert sorted(closed) == [False, True]
        assert len(await watchlist.open_jobs(f.MEDIA_ID)) == 1
        for job_id in pair:
            await watchlist.reopen(job_id)


async def test_overdue_lists_what_outlived_its_deadline_the_longest_first(
    pool: Pool, owner: Pool, store: PostgresEventStore
) -> None:
    ids = [uuid4() for _ in range(3)]
    for media_id, life in zip(ids, (lives.REQUESTED, lives.REGISTERED, lives.READY), strict=True):
        await live(store, life, media_id)
    await owner.execute("UPDATE media_items SET deadline_at = now() + interval '1 hour'")
    assert await PostgresDeadlines(pool).overdue(10) == []
    for age, media_id in enumerate(ids[:2]):
        past = "UPDATE media_items SET deadline_at = now() - $2::interval WHERE id = $1"
        await owner.execute(past, media_id, timedelta(hours=age + 1))
    assert await PostgresDeadlines(pool).overdue(10) == [
        (ids[1], Status.UPLOADING),
        (ids[0], Status.TRANSCODING),
    ]
    assert await PostgresDeadlines(pool).overdue(1) == [(ids[1], Status.UPLOADING)]


async def test_f20_the_newest_attempt_is_taken_beside_an_older_one_that_was_queued_in_vain(
    store: PostgresEventStore, outbox: PostgresOutbox
) -> None:
    await live(store, (*lives.FAILED, (f.retry_requested(), f.transcoding_requested(2))))
    await outbox.add(f.MEDIA_ID, 1)
    assert await outbox.take(f.MEDIA_ID) == Lease(f.MEDIA_ID, 2, 1)
