"""The use cases over the ports in memory, with what tests do to them from outside."""

from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from domain.commands import Outputs
from domain.events import Context
from domain.lifecycle import Status
from domain.media import Failure, MediaItem, fold
from domain.ports import JobPhase, JobState, OutputsInvalid, WatchedJob
from domain.read_model import project_history
from domain.use_cases import Dispatch, Outcomes, Registered, Registration, Reports, Uploads
from infra.inbox import MessageDesk, own_keys
from tests import factories as f
from tests.fakes import (
    MemoryBreakers,
    MemoryClaims,
    MemoryDatabase,
    MemoryEventStore,
    MemoryEvidence,
    MemoryInbox,
    MemoryOutbox,
    MemoryOutputGate,
    MemoryStorage,
    MemoryTranscoder,
    MemoryWatchlist,
)

UPLOAD_WINDOW = timedelta(hours=24)
ATTEMPT_WINDOW = timedelta(hours=2)
UNKNOWN_WAIT_S = 120.0
MAX_BYTES = 10 * f.SIZE


def wanted(
    content_type: str = "video/mp4", size: int = f.SIZE, idempotency_key: str | None = None
) -> Registration:
    """A file as its creator announces it."""
    return Registration(f.CREATOR, "holiday.mp4", content_type, size, idempotency_key)


@dataclass
class World:
    """Everything outside the domain, in memory."""

    database: MemoryDatabase = field(default_factory=MemoryDatabase)
    storage: MemoryStorage = field(default_factory=MemoryStorage)
    transcoder: MemoryTranscoder = field(default_factory=MemoryTranscoder)
    gate: MemoryOutputGate = field(default_factory=MemoryOutputGate)
    claims: MemoryClaims = field(default_factory=MemoryClaims)
    evidence: MemoryEvidence = field(default_factory=MemoryEvidence)
    creator: Context = field(default_factory=f.context)

    def __post_init__(self) -> None:
        self.store = MemoryEventStore(self.database)
        self.outbox = MemoryOutbox(self.database)
        self.watchlist = MemoryWatchlist(self.database)
        self.breakers = MemoryBreakers(self.database)
        self.inbox = MemoryInbox(self.database)
        self.dispatch = Dispatch(
            self.store,
            self.transcoder,
            self.outbox,
            self.claims,
            self.breakers,
            ATTEMPT_WINDOW,
            UNKNOWN_WAIT_S,
        )
        self.uploads = Uploads(self.store, self.storage, self.dispatch, MAX_BYTES, UPLOAD_WINDOW)
        self.outcomes = Outcomes(
            self.store,
            self.transcoder,
            self.gate,
            self.claims,
            self.outbox,
            self.watchlist,
            self.breakers,
            self.evidence,
        )
        self.desk = MessageDesk(self.inbox, Reports(self.outcomes, own_keys))

    async def registered(self) -> Registered:
        """A registered item whose file has not come."""
        return await self.uploads.register(wanted(), self.creator)

    async def arrived(self) -> UUID:
        """An item whose file is in the bucket, without anybody having said so."""
        registered = await self.registered()
        assert registered.upload is not None
        self.storage.put(registered.upload, f.ETAG)
        return registered.media_id

    async def transcoding(self) -> UUID:
        """An item whose first attempt has the job `job-11-u1`."""
        media_id = await self.arrived()
        await self.uploads.complete(media_id, f.CREATOR, self.creator)
        return media_id

    async def failed(self, attempt: int = 1) -> UUID:
        """An item whose first or second attempt failed."""
        media_id = await self.transcoding()
        await self.outcomes.failed(media_id, f.record_failure(1), f.context("worker:a"))
        for again in range(2, attempt + 1):
            await self.dispatch.retry(media_id, f.CREATOR, self.creator)
            await self.outcomes.failed(media_id, f.record_failure(again), f.context("worker:a"))
        return media_id

    async def item(self, media_id: UUID) -> MediaItem:
        """The item as its history makes it."""
        item = fold(stored.event for stored in await self.store.load(media_id))
        assert item is not None
        return item

    async def failure(self, media_id: UUID) -> Failure:
        """Why the item failed."""
        item = await self.item(media_id)
        assert item.status is Status.FAILED
        assert item.failure is not None
        return item.failure

    def nothing_is_left_to_do(self) -> bool:
        """Whether no attempt waits for a job and no job is watched."""
        return not self.database.outbox and all(job.closed for job in self.database.jobs.values())

    async def leaves(self, media_id: UUID, outputs: Outputs | OutputsInvalid) -> None:
        """The present attempt wrote its manifest."""
        attempt_id = (await self.item(media_id)).attempt_id
        assert attempt_id is not None
        self.gate.found[attempt_id] = outputs

    def vendor_says(self, job_id: str, phase: JobPhase, error: str | None = None) -> None:
        """The vendor's record of a job changes."""
        self.transcoder.jobs[job_id] = JobState(phase, error)

    async def polled(self) -> WatchedJob | None:
        """One poll of the reconciler, a quarter of a minute later."""
        self.database.advance(timedelta(seconds=15))
        job = await self.watchlist.take()
        if job is not None:
            await self.outcomes.reconcile(job)
        return job

    async def dispatched(self) -> MediaItem | None:
        """One turn of the dispatcher."""
        lease = await self.outbox.take()
        return None if lease is None else await self.dispatch.send(lease)

    def types(self, media_id: UUID) -> list[str]:
        """The item's history as event types, without their common prefix."""
        stream = self.database.streams[media_id]
        return [stored.event.type.removeprefix("media.") for stored in stream]

    def assert_rows_equal_histories(self) -> None:
        """The kept row of every item is what its whole history folds to."""
        for media_id, stream in self.database.streams.items():
            history = [stored.event for stored in stream]
            assert self.database.rows[media_id] == project_history(media_id, history)
            assert [stored.version for stored in stream] == list(range(1, len(stream) + 1))
