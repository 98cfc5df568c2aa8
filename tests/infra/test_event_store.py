"""What an event store does: one suite for the real one and for the fake that other tests use."""

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import cast
from uuid import UUID, uuid4

import pytest

from domain.errors import ConcurrencyConflict
from domain.events import CommittingEvent, Erased, Event
from domain.media import evolve, fold
from domain.ports import EventStore
from domain.read_model import MediaRow, project_history
from infra.postgres.event_store import PostgresEventStore
from infra.postgres.group_commit import AppendRefused
from infra.postgres.pool import Pool
from tests import factories as f
from tests.fakes import MemoryDatabase, MemoryEventStore
from tests.infra import lives
from tests.infra.lives import LIVES, Life, append, live

WRITERS = 32
REFUSED = (ValueError, AppendRefused)


class Written(ABC):
    """A store, and a look at what its appends wrote beside the stream."""

    store: EventStore

    @abstractmethod
    async def row(self, media_id: UUID) -> MediaRow | None:
        """The projected row."""

    @abstractmethod
    async def outbox(self) -> set[tuple[UUID, int]]:
        """The attempts that wait to be sent."""

    @abstractmethod
    async def watched(self) -> dict[str, bool]:
        """Whether each job is still asked about."""


@dataclass
class InMemory(Written):
    """The fake."""

    database: MemoryDatabase

    def __post_init__(self) -> None:
        self.store = MemoryEventStore(self.database)

    async def row(self, media_id: UUID) -> MediaRow | None:
        return self.database.rows.get(media_id)

    async def outbox(self) -> set[tuple[UUID, int]]:
        return set(self.database.outbox)

    async def watched(self) -> dict[str, bool]:
        return {job_id: not job.closed for job_id, job in self.database.jobs.items()}


@dataclass
class InPostgres(Written):
    """The real one."""

    pool: Pool

    def __post_init__(self) -> None:
        self.store = PostgresEventStore(self.pool)

    async def row(self, media_id: UUID) -> MediaRow | None:
        found = await self.pool.fetchrow("SELECT * FROM media_items WHERE id = $1", media_id)
        if found is None:
            return None
        error, deadline = found["transcoding_error"], found["deadline_at"]
        changed = {
            "id": str(found["id"]),
            "transcoding_error": None if error is None else json.loads(error),
            "deadline_at": None if deadline is None else deadline.isoformat(),
        }
        columns = {name: found[name] for name in MediaRow.__annotations__}
        return cast("MediaRow", columns | changed)

    async def outbox(self) -> set[tuple[UUID, int]]:
        return {tuple(row) for row in await self.pool.fetch("SELECT media_id, attempt FROM outbox")}

    async def watched(self) -> dict[str, bool]:
        rows = await self.pool.fetch("SELECT job_id, closed_at IS NULL FROM vendor_jobs")
        return {row[0]: row[1] for row in rows}


@pytest.fixture(params=["memory", "postgres"])
def written(request: pytest.FixtureRequest) -> Written:
    """Each kind of store, empty."""
    if request.param == "memory":
        return InMemory(MemoryDatabase())
    return InPostgres(request.getfixturevalue("pool"))


def unsealed(events: Iterable[Event], *, erased: bool) -> list[Event]:
    """The events as they were before they were stored; without what goes with an erased item."""
    return [_unsealed(event, erased=erased) for event in events]


def _unsealed(event: Event, *, erased: bool) -> Event:
    if isinstance(event, Erased):
        return event.model_copy(update={"commitments": ()})
    if not isinstance(event, CommittingEvent):
        return event
    gone: dict[str, None] = dict.fromkeys(event.personal_fields) if erased else {}
    return event.model_copy(update={"commitment": None, **gone})


async def history(written: Written) -> list[Event]:
    """The item's events as read back."""
    return [stored.event for stored in await written.store.load(f.MEDIA_ID)]


async def test_unknown_stream_is_empty(written: Written) -> None:
    assert await written.store.load(uuid4()) == []


@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES.keys())
async def test_history_reads_back_gapless_and_its_projection_is_the_row(
    written: Written, life: Life
) -> None:
    appended = []
    for events in life:
        appended += await append(written.store, events)
        projected = project_history(f.MEDIA_ID, await history(written))
        assert await written.row(f.MEDIA_ID) == projected
    loaded = await written.store.load(f.MEDIA_ID)
    erased = isinstance(loaded[-1].event, Erased)
    assert erased or loaded == appended
    assert not erased or not any(stored.personal for stored in loaded)
    expected = unsealed((event for events in life for event in events), erased=erased)
    assert unsealed((stored.event for stored in loaded), erased=erased) == expected
    assert [stored.version for stored in loaded] == list(range(1, len(loaded) + 1))
    assert {stored.context for stored in loaded} == {f.context()}
    positions = [stored.position for stored in loaded]
    assert positions == sorted(set(positions))


@pytest.mark.parametrize(
    ("life", "outbox", "watched"),
    [
        pytest.param(lives.REGISTERED, set(), {}, id="an upload leaves no work"),
        pytest.param(lives.REQUESTED, {(f.MEDIA_ID, 1)}, {}, id="a request waits to be sent"),
        pytest.param(lives.SUBMITTED, set(), {f.job_id(): True}, id="a job is watched"),
        pytest.param(
            lives.RESUBMITTED,
            set(),
            {f.job_id(): True, f.job_id(1, 2): True},
            id="both jobs are watched",
        ),
        pytest.param(lives.READY, set(), {f.job_id(): False}, id="ready closes the job"),
        pytest.param(lives.FAILED, set(), {f.job_id(): False}, id="failed closes the job"),
        pytest.param(
            lives.RETRIED[:5], {(f.MEDIA_ID, 2)}, {f.job_id(): False}, id="a retry waits again"
        ),
        pytest.param(
            (*lives.REQUESTED, (f.transcoding_failed(),)), set(), {}, id="failed before any job"
        ),
    ],
)
async def test_append_leaves_the_work_that_follows_from_it(
    written: Written, life: Life, outbox: set[tuple[UUID, int]], watched: dict[str, bool]
) -> None:
    await live(written.store, life)
    assert await written.outbox() == outbox
    assert await written.watched() == watched


async def test_append_at_another_version_conflicts_and_writes_nothing(written: Written) -> None:
    await live(written.store, lives.REQUESTED)
    item = evolve(fold(await history(written)), f.transcoding_submitted())
    for version in (0, 2, 4, 99):
        with pytest.raises(ConcurrencyConflict) as conflict:
            await written.store.append(
                f.MEDIA_ID,
                version,
                [f.transcoding_submitted()],
                item,
                f.context(),
                command_id=uuid4(),
            )
        assert (conflict.value.stream_id, conflict.value.expected_version) == (f.MEDIA_ID, version)
    assert len(await history(written)) == 3
    assert await written.outbox() == {(f.MEDIA_ID, 1)}


async def test_append_to_a_stream_that_is_not_there_conflicts(written: Written) -> None:
    item = fold(f.uploaded())
    assert item is not None
    with pytest.raises(ConcurrencyConflict):
        await written.store.append(
            f.MEDIA_ID, 1, [f.upload_completed()], item, f.context(), command_id=uuid4()
        )
    assert await written.store.load(f.MEDIA_ID) == []


@pytest.mark.parametrize(
    ("life", "event"),
    [
        pytest.param((), f.upload_completed(), id="born otherwise"),
        pytest.param(lives.REGISTERED, f.transcoding_requested(), id="request before upload"),
        pytest.param(lives.READY, f.transcoding_failed(), id="fail when ready"),
        pytest.param(lives.READY, f.retry_requested(), id="retry when ready"),
        pytest.param(lives.EXPIRED, f.upload_completed(), id="complete when expired"),
        pytest.param(lives.SUBMITTED, f.registered(), id="register again"),
    ],
)
async def test_event_that_the_lifecycle_forbids_is_refused(
    written: Written, life: Life, event: Event
) -> None:
    await live(written.store, life)
    item = fold([*await history(written), event]) if life else fold(f.uploaded())
    before = await history(written)
    assert item is not None
    with pytest.raises(REFUSED):
        await written.store.append(
            f.MEDIA_ID, len(before), [event], item, f.context(), command_id=uuid4()
        )
    assert await history(written) == before
    assert await written.row(f.MEDIA_ID) == project_history(f.MEDIA_ID, before)


@pytest.mark.parametrize("made_by", [f.uploading(), f.transcoding()], ids=["older", "newer"])
async def test_row_that_its_events_do_not_make_is_refused(
    written: Written, made_by: tuple[Event, ...]
) -> None:
    await live(written.store, lives.REGISTERED)
    item = fold(made_by)
    assert item is not None
    with pytest.raises(REFUSED):
        await written.store.append(
            f.MEDIA_ID, 1, [f.upload_expired()], item, f.context(), command_id=uuid4()
        )
    assert unsealed(await history(written), erased=False) == [f.registered()]


async def test_one_of_many_writers_wins_each_version(written: Written) -> None:
    await live(written.store, lives.SUBMITTED)

    async def write() -> int:
        for tries in range(1, WRITERS + 1):
            try:
                await append(written.store, [f.transcoding_started()])
            except ConcurrencyConflict:
                continue
            return tries
        raise AssertionError("lost more races than there are others")

    await asyncio.gather(*(write() for _ in range(WRITERS)))
    loaded = await written.store.load(f.MEDIA_ID)
    assert [stored.version for stored in loaded] == list(range(1, 4 + WRITERS + 1))
    assert all(after.prev_hash == before.hash for before, after in pairwise(loaded))


async def test_one_of_many_registrations_with_the_same_id_wins(written: Written) -> None:
    item = fold(f.uploading())
    assert item is not None
    outcomes = await asyncio.gather(
        *(
            written.store.append(
                f.MEDIA_ID, 0, [f.registered()], item, f.context(), command_id=uuid4()
            )
            for _ in range(WRITERS)
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, list) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, ConcurrencyConflict) for outcome in outcomes) == WRITERS - 1
    assert unsealed(await history(written), erased=False) == [f.registered()]


async def test_clock_is_in_utc(written: Written) -> None:
    assert (await written.store.now()).utcoffset() == datetime.now(UTC).utcoffset()
