"""The ports in memory: what the adapters must do, without database, bucket and vendor.

Event store, outbox and watchlist share one `MemoryDatabase`, since one append writes all three
(`append_events` and `write_work` in migrations/0001_history.sql). Time stands still until a test
calls `MemoryDatabase.advance`. Methods do what `domain.ports` says of them; docstrings add to that.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, cast
from uuid import UUID

import rfc8785

from domain import ports
from domain.commands import Outputs
from domain.errors import ConcurrencyConflict, StorageUnavailable, TranscoderError
from domain.events import Context, Event, MediaType, StoredEvent
from domain.handler import event_id
from domain.lifecycle import FIRST_EVENT, INITIAL, Status, next_status
from domain.media import MediaItem
from domain.read_model import MediaRow, project

LEASE, POLL_INTERVAL = timedelta(seconds=60), timedelta(seconds=15)


@dataclass(slots=True)
class OutboxEntry:
    """A row of `outbox`."""

    next_try_at: datetime
    tries: int = 0
    last_error: str | None = None


@dataclass(slots=True)
class JobEntry:
    """A row of `vendor_jobs`."""

    media_id: UUID
    attempt: int
    next_poll_at: datetime
    closed: bool = False


@dataclass(slots=True)
class MemoryDatabase:
    """The tables that one append writes, and the clock."""

    clock: datetime = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
    streams: dict[UUID, list[StoredEvent]] = field(default_factory=dict)
    rows: dict[UUID, MediaRow] = field(default_factory=dict)
    outbox: dict[tuple[UUID, int], OutboxEntry] = field(default_factory=dict)
    jobs: dict[str, JobEntry] = field(default_factory=dict)
    last_position: int = 0

    def advance(self, duration: timedelta) -> None:
        """Let time pass."""
        self.clock += duration


@dataclass(frozen=True, slots=True)
class MemoryEventStore:
    """Streams, projection, outbox and job list, written together or not at all.

    Refuses with `ValueError` what the database refuses as well: an event that the lifecycle does
    not have in that state, and a row that does not fit its events. Hashes chain, but are not those
    that the database computes.
    """

    database: MemoryDatabase

    async def load(self, media_id: UUID) -> list[StoredEvent]:
        return list(self.database.streams.get(media_id, []))

    async def now(self) -> datetime:
        return self.database.clock

    async def append(
        self,
        media_id: UUID,
        expected_version: int,
        events: Sequence[Event],
        item: MediaItem,
        context: Context,
        *,
        command_id: UUID,
    ) -> list[StoredEvent]:
        stream = await self.load(media_id)
        if len(stream) != expected_version:
            ids = {event_id(command_id, index) for index in range(len(events))}
            if before := [stored for stored in stream if stored.event_id in ids]:
                return before
            raise ConcurrencyConflict(media_id, expected_version)
        _check_fit(stream, events, item)
        for index, event in enumerate(events):
            own_id = event_id(command_id, index)
            stream.append(self._stored(media_id, stream, event, context, own_id))
        self.database.streams[media_id] = stream
        self.database.rows[media_id] = project(media_id, item)
        self._write_work(media_id, {event.type for event in events}, item)
        return stream[expected_version:]

    def _stored(
        self,
        media_id: UUID,
        stream: list[StoredEvent],
        event: Event,
        context: Context,
        own_id: UUID,
    ) -> StoredEvent:
        self.database.last_position += 1
        payload = rfc8785.dumps(cast("Any", event.payload()))
        return StoredEvent(
            position=self.database.last_position,
            stream_id=media_id,
            version=len(stream) + 1,
            event_id=own_id,
            event=event,
            schema_version=event.schema_version,
            payload_json=payload.decode(),
            context=context,
            occurred_at=self.database.clock,
            recorded_at=self.database.clock,
            prev_hash=(previous := stream[-1].hash if stream else b""),
            hash=sha256(previous + payload).digest(),
        )

    def _write_work(self, media_id: UUID, types: set[str], item: MediaItem) -> None:
        clock = self.database.clock
        if "media.transcoding_requested" in types:
            self.database.outbox[media_id, item.attempt] = OutboxEntry(clock)
        if "media.transcoding_submitted" in types and item.runpod_job_id is not None:
            self._empty_outbox(media_id)
            watched = JobEntry(media_id, item.attempt, clock + POLL_INTERVAL)
            self.database.jobs[item.runpod_job_id] = watched
        if item.status in {Status.READY, Status.FAILED}:
            self._empty_outbox(media_id)
            for job in self.database.jobs.values():
                job.closed = job.closed or job.media_id == media_id

    def _empty_outbox(self, media_id: UUID) -> None:
        for key in [key for key in self.database.outbox if key[0] == media_id]:
            del self.database.outbox[key]


def _check_fit(stream: list[StoredEvent], events: Sequence[Event], item: MediaItem) -> None:
    path = [*(stored.event.type for stored in stream), *(event.type for event in events)]
    status = INITIAL if path[0] == FIRST_EVENT else None
    for event_type in path[1:]:
        status = next_status(status, event_type) if status is not None else None
    if (status, len(path)) != (item.status, item.version):
        raise ValueError(f"{path} does not make a {item.status} item at version {item.version}")


@dataclass(frozen=True, slots=True)
class MemoryOutbox:
    """Attempts that still need a job; a taken one is due again after `LEASE`."""

    database: MemoryDatabase

    async def take(self, media_id: UUID | None = None) -> ports.Lease | None:
        """ports.Lease the attempt that is due longest (of one item, if given)."""
        due = [
            (entry.next_try_at, key)
            for key, entry in self.database.outbox.items()
            if entry.next_try_at <= self.database.clock and media_id in {None, key[0]}
        ]
        if not due:
            return None
        _, (of, attempt) = min(due)
        entry = self.database.outbox[of, attempt]
        entry.tries += 1
        entry.next_try_at = self.database.clock + LEASE
        return ports.Lease(of, attempt, entry.tries)

    async def postpone(self, lease: ports.Lease, delay_s: float, reason: str) -> None:
        entry = self.database.outbox.get((lease.media_id, lease.attempt))
        if entry is not None:
            entry.next_try_at = self.database.clock + timedelta(seconds=delay_s)
            entry.last_error = reason

    async def add(self, media_id: UUID, attempt: int) -> None:
        """Queue an attempt whose job was lost; one that is queued already stays as it is."""
        self.database.outbox.setdefault((media_id, attempt), OutboxEntry(self.database.clock))

    async def drop(self, lease: ports.Lease) -> None:
        self.database.outbox.pop((lease.media_id, lease.attempt), None)


@dataclass(frozen=True, slots=True)
class MemoryWatchlist:
    """Jobs to ask the vendor about; a taken one is due again after `POLL_INTERVAL`."""

    database: MemoryDatabase

    async def take(self) -> ports.WatchedJob | None:
        """ports.Lease the job that is due longest."""
        due = [
            (job.next_poll_at, job_id)
            for job_id, job in self.database.jobs.items()
            if not job.closed and job.next_poll_at <= self.database.clock
        ]
        if not due:
            return None
        _, job_id = min(due)
        job = self.database.jobs[job_id]
        job.next_poll_at = self.database.clock + POLL_INTERVAL
        return ports.WatchedJob(job_id, job.media_id, job.attempt)

    async def hurry(self, media_id: UUID, attempt: int) -> None:
        for job in self.database.jobs.values():
            if (job.media_id, job.attempt) == (media_id, attempt):
                job.next_poll_at = self.database.clock

    async def close(self, job_id: str) -> None:
        if job_id in self.database.jobs:
            self.database.jobs[job_id].closed = True

    async def open_jobs(self, media_id: UUID) -> list[str]:
        return [
            job_id
            for job_id, job in self.database.jobs.items()
            if job.media_id == media_id and not job.closed
        ]


@dataclass(slots=True)
class MemoryStorage:
    """The bucket. It does not answer while it is `down`."""

    expires_at: datetime = datetime(2026, 11, 2, 10, 0, tzinfo=UTC)
    objects: dict[str, ports.FoundObject] = field(default_factory=dict)
    down: bool = False

    async def presign_put(self, key: str, content_type: str, size: int) -> ports.PresignedUpload:
        self._answer()
        headers = {"content-type": content_type, "content-length": str(size)}
        headers["if-none-match"] = "*"
        return ports.PresignedUpload(f"memory://bucket/{key}", headers, self.expires_at)

    async def head(self, key: str) -> ports.FoundObject | None:
        self._answer()
        return self.objects.get(key)

    def put(self, upload: ports.PresignedUpload, etag: str = '"etag"') -> None:
        """Upload as the signature demands. `FileExistsError`: it never overwrites."""
        key = upload.url.removeprefix("memory://bucket/")
        if key in self.objects:
            raise FileExistsError(key)
        size = int(upload.headers["content-length"])
        self.objects[key] = ports.FoundObject(size, etag, upload.headers["content-type"])

    def _answer(self) -> None:
        if self.down:
            raise StorageUnavailable("The bucket did not answer.")


@dataclass(slots=True)
class MemoryTranscoder:
    """The vendor's queue. Tests move jobs by writing to `jobs`; a deleted one is a 404.

    Every call raises `refusal` while it is set.
    """

    refusal: TranscoderError | None = None
    submitted: list[ports.TranscodingJob] = field(default_factory=list)
    jobs: dict[str, ports.JobState] = field(default_factory=dict)

    async def submit(
        self,
        job: ports.TranscodingJob,
        now: datetime,  # noqa: ARG002 - the port's
    ) -> str:
        self._answer()
        before = [earlier for earlier in self.submitted if earlier.attempt_id == job.attempt_id]
        self.submitted.append(job)
        job_id = f"job-{job.attempt}{len(before) + 1}-u1"
        self.jobs[job_id] = ports.JobState(ports.JobPhase.QUEUED)
        return job_id

    async def status(self, job_id: str) -> ports.JobState | None:
        self._answer()
        return self.jobs.get(job_id)

    async def cancel(self, job_id: str) -> None:
        self._answer()
        state = self.jobs.get(job_id)
        if state is not None and state.phase in {ports.JobPhase.QUEUED, ports.JobPhase.RUNNING}:
            self.jobs[job_id] = ports.JobState(ports.JobPhase.CANCELLED)

    def _answer(self) -> None:
        if self.refusal is not None:
            raise self.refusal


@dataclass(slots=True)
class MemoryOutputGate:
    """What the bucket holds of each attempt, by attempt id; nothing where a test put nothing."""

    found: dict[UUID, Outputs | ports.OutputsInvalid] = field(default_factory=dict)

    async def inspect(
        self,
        media_id: UUID,  # noqa: ARG002 - the port's
        creator_id: str,  # noqa: ARG002
        media_type: MediaType,  # noqa: ARG002
        attempt_id: UUID,
    ) -> Outputs | ports.OutputsInvalid | None:
        return self.found.get(attempt_id)


@dataclass(slots=True)
class MemoryEvidence:
    """Raw messages by their hash."""

    bodies: dict[str, bytes] = field(default_factory=dict)

    async def keep(
        self,
        kind: ports.EvidenceKind,  # noqa: ARG002 - the port's
        body: bytes,
    ) -> str:
        digest = sha256(body).hexdigest()
        self.bodies[digest] = body
        return digest
