"""One batch: each request is answered by itself, also where one makes the whole batch fail."""

import asyncio
from collections.abc import Coroutine, Sequence
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.errors import ConcurrencyConflict
from domain.events import Context, Event, StoredEvent
from domain.media import MediaItem, fold
from infra.postgres.event_store import PostgresEventStore
from infra.postgres.group_commit import AppendRefused
from infra.postgres.pool import Pool
from tests import factories as f
from tests.infra import lives
from tests.infra.lives import live
from tests.infra.test_event_store import unsealed

Append = Coroutine[Any, Any, list[StoredEvent]]


@pytest.fixture
def store(pool: Pool) -> PostgresEventStore:
    return PostgresEventStore(pool, lanes=1)


def append(
    store: PostgresEventStore,
    media_id: UUID,
    before: Sequence[Event],
    events: Sequence[Event],
    *,
    command_id: UUID | None = None,
    context: Context | None = None,
    item: MediaItem | None = None,
) -> Append:
    """Append `events` to a stream that is thought to hold `before`."""
    made = item or fold([*before, *events])
    assert made is not None
    return store.append(
        media_id,
        len(before),
        events,
        made,
        context or f.context(),
        command_id=command_id or uuid4(),
    )


def register(store: PostgresEventStore, media_id: UUID, **words: Any) -> Append:
    """Append the first event of an item."""
    return append(store, media_id, (), f.uploading(), **words)


async def together(*appends: Append) -> list[Any]:
    """What became of appends that an idle lane takes in one batch: it begins when all wait."""
    return list(await asyncio.gather(*appends, return_exceptions=True))


async def transactions(pool: Pool) -> int:
    """How many transactions wrote the events."""
    count: int = await pool.fetchval("SELECT count(DISTINCT xmin::text) FROM events")
    return count


async def heads(pool: Pool) -> set[UUID]:
    """The streams that there are."""
    return {row[0] for row in await pool.fetch("SELECT stream_id FROM streams")}


async def test_batch_is_one_transaction_and_answers_what_is_stored(
    store: PostgresEventStore, pool: Pool
) -> None:
    ids = [uuid4() for _ in range(20)]
    answers = await together(*(register(store, media_id) for media_id in ids))
    assert await transactions(pool) == 1
    assert answers == [await store.load(media_id) for media_id in ids]


async def test_statements_of_an_append_are_planned_once_a_connection(pool: Pool) -> None:
    settings = "SELECT proconfig FROM pg_proc WHERE proname = 'append_batch'"
    assert "plan_cache_mode=force_generic_plan" in await pool.fetchval(settings)


async def test_answer_is_what_is_read_back_whatever_the_context(store: PostgresEventStore) -> None:
    full = Context(
        actor="worker:é",
        correlation_id=uuid4(),
        causation_id=uuid4(),
        traceparent=f.TRACEPARENT,
        evidence="0f" * 32,
    )
    bare = Context(actor="runpod", correlation_id=uuid4())
    one, other = uuid4(), uuid4()
    answers = await together(
        register(store, one, context=full), register(store, other, context=bare)
    )
    assert answers == [await store.load(one), await store.load(other)]
    assert [answers[0][0].context, answers[1][0].context] == [full, bare]


async def test_refusals_inside_a_batch_leave_it_one_transaction(
    store: PostgresEventStore, pool: Pool
) -> None:
    good, behind, forbidden, unfit, last = (uuid4() for _ in range(5))
    first, conflict, no_transition, no_fit, second = await together(
        register(store, good),
        append(store, behind, f.uploading(), (f.upload_completed(),)),
        append(store, forbidden, (), (f.upload_expired(),), item=fold(f.uploading())),
        register(store, unfit, item=fold(f.uploaded())),
        register(store, last),
    )
    assert isinstance(conflict, ConcurrencyConflict)
    assert (no_transition.sqlstate, no_fit.sqlstate) == ("CM002", "CM002")
    assert "no transition" in str(no_transition)
    assert "does not fit" in str(no_fit)
    assert [first, second] == [await store.load(good), await store.load(last)]
    assert await transactions(pool) == 1
    assert await heads(pool) == {good, last}  # what was refused its first event leaves no stream
    assert {row[0] for row in await pool.fetch("SELECT id FROM media_items")} == {good, last}


BROKEN = {
    "job that another item has": ("23505", {}),
    "text that cannot be handed over": ("22021", {"traceparent": "\0"}),
    "line break in a hashed line": ("23514", {"traceparent": "a\nb"}),
}


@pytest.mark.parametrize(("sqlstate", "changed"), BROKEN.values(), ids=list(BROKEN))
async def test_request_that_breaks_a_whole_batch_fails_alone(
    store: PostgresEventStore, pool: Pool, sqlstate: str, changed: dict[str, str]
) -> None:
    await live(store, lives.SUBMITTED)
    ids = [uuid4() for _ in range(4)]
    broken = ids[2]
    answers = await together(
        *(register(store, media_id) for media_id in ids[:2]),
        append(
            store,
            broken,
            (),
            f.transcoding()[:-1] if changed else (*f.transcoding()[:-1], f.transcoding_submitted()),
            context=f.context().model_copy(update=changed),
        ),
        register(store, ids[3]),
        append(store, ids[3], f.uploading(), (f.upload_expired(),)),
        append(store, uuid4(), f.uploading(), (f.upload_completed(),)),
    )
    refusal = answers.pop(2)
    assert isinstance(refusal, AppendRefused)
    assert refusal.sqlstate == sqlstate
    assert isinstance(answers.pop(), ConcurrencyConflict)
    assert answers[:2] == [await store.load(media_id) for media_id in ids[:2]]
    assert [*answers[2], *answers[3]] == await store.load(ids[3])
    assert await heads(pool) == {f.MEDIA_ID, ids[0], ids[1], ids[3]}


async def test_whole_life_in_one_batch_is_lived_in_order(
    store: PostgresEventStore, pool: Pool
) -> None:
    media_id, other = uuid4(), uuid4()
    parts = [*lives.RETRIED]
    befores = [[event for part in parts[:count] for event in part] for count in range(len(parts))]
    answers = await together(
        register(store, other),
        *(append(store, media_id, *both) for both in zip(befores, parts, strict=True)),
    )
    assert await transactions(pool) == 1
    loaded = await store.load(media_id)
    assert [stored for answer in answers[1:] for stored in answer] == loaded
    events = unsealed((stored.event for stored in loaded), erased=False)
    assert events == [event for part in parts for event in part]
    assert all(later.prev_hash == earlier.hash for earlier, later in pairwise(loaded))
    assert await pool.fetchval("SELECT count(*) FROM projection_differences($1, $1)", media_id) == 0
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 0
    jobs = await pool.fetch("SELECT job_id, closed_at IS NULL FROM vendor_jobs ORDER BY attempt")
    assert [tuple(row) for row in jobs] == [(f.job_id(1), False), (f.job_id(2), False)]
    assert await pool.fetchval("SELECT count(*) FROM unsealed") == len(loaded) + 1


async def test_end_of_one_attempt_does_not_touch_the_next_in_the_same_batch(
    store: PostgresEventStore, pool: Pool
) -> None:
    parts = lives.RETRIED[:5]  # the second attempt waits to be sent
    befores = [[event for part in parts[:count] for event in part] for count in range(len(parts))]
    await together(*(append(store, f.MEDIA_ID, *both) for both in zip(befores, parts, strict=True)))
    assert [tuple(row) for row in await pool.fetch("SELECT media_id, attempt FROM outbox")] == [
        (f.MEDIA_ID, 2)
    ]


async def test_work_of_a_batch_is_done_for_the_items_it_is_about(
    store: PostgresEventStore, pool: Pool
) -> None:
    ends, runs, waits, asks = (uuid4() for _ in range(4))
    for media_id in (ends, runs):
        await append(store, media_id, (), (*f.transcoding()[:-1], submitted(media_id)))
    await live(store, lives.REQUESTED, waits)
    await live(store, lives.REGISTERED, asks)
    before = (*f.transcoding()[:-1],)
    outcomes = await together(
        append(store, ends, (*before, submitted(ends)), (f.transcoding_failed(),)),
        append(store, runs, (*before, submitted(runs)), (f.transcoding_started(),)),
        append(store, asks, f.uploading(), (f.upload_completed(), f.transcoding_requested())),
    )
    assert [type(outcome) for outcome in outcomes] == [list] * 3
    jobs = await pool.fetch("SELECT media_id, closed_at IS NULL FROM vendor_jobs")
    assert {tuple(row) for row in jobs} == {(ends, False), (runs, True)}
    assert {row[0] for row in await pool.fetch("SELECT media_id FROM outbox")} == {waits, asks}


def submitted(media_id: UUID) -> Event:
    """A job that is this item's own."""
    return f.transcoding_submitted(1, f"job-{media_id}")


async def test_command_sent_twice_in_a_batch_is_done_once(
    store: PostgresEventStore, pool: Pool
) -> None:
    media_id, command_id = uuid4(), uuid4()
    first, again, other = await together(
        register(store, media_id, command_id=command_id),
        register(store, media_id, command_id=command_id),
        register(store, uuid4()),
    )
    assert first == again == await store.load(media_id)
    assert len(other) == 1
    assert await transactions(pool) == 1


async def test_command_sent_again_beside_new_ones_is_answered_as_before(
    store: PostgresEventStore, pool: Pool
) -> None:
    media_id, other, command_id = uuid4(), uuid4(), uuid4()
    rest = (f.upload_completed(), f.transcoding_requested())
    await register(store, media_id)
    first = await append(store, media_id, f.uploading(), rest, command_id=command_id)
    again, conflict, new = await together(
        append(store, media_id, f.uploading(), rest, command_id=command_id),
        append(store, media_id, f.uploading(), rest),
        register(store, other),
    )
    assert again == first
    assert isinstance(conflict, ConcurrencyConflict)
    assert new == await store.load(other)
    assert await pool.fetchval("SELECT count(*) FROM events") == 4


async def test_batches_of_new_and_old_streams_never_lock_each_other_out(
    pool: Pool, store: PostgresEventStore
) -> None:
    old = [uuid4() for _ in range(6)]
    await together(*(register(store, media_id) for media_id in old))
    stores = [PostgresEventStore(pool) for _ in range(4)]
    for _ in range(10):
        new = [uuid4() for _ in range(6)]
        outcomes = await together(
            *(register(each, media_id) for each in stores for media_id in (*new, *old)),
        )
        won = [outcome for outcome in outcomes if isinstance(outcome, list)]
        assert len(won) == len(new)
        assert {type(outcome) for outcome in outcomes} == {list, ConcurrencyConflict}
