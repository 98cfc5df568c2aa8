"""The tables that one append writes, in memory, and the event store over them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, cast
from uuid import UUID

import rfc8785

from domain import ports
from domain.errors import ConcurrencyConflict
from domain.events import CommittingEvent, Context, Event, StoredEvent
from domain.handler import event_id
from domain.lifecycle import FIRST_EVENT, INITIAL, Status, next_status
from domain.media import MediaItem
from domain.personal import SALT_BYTES
from domain.read_model import MediaRow, project
from domain.sealing import seal

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
    polls: int = 0
    closed: bool = False


@dataclass(slots=True)
class CallsEntry:
    """A row of `run_calls`."""

    made: int
    called_at: datetime


@dataclass(slots=True)
class ErasureEntry:
    """A row of `erasures`."""

    creator_id: str
    erased_at: datetime
    written_at: datetime
    next_try_at: datetime
    tries: int = 0
    finished: bool = False


@dataclass(slots=True)
class InboxEntry:
    """A row of `webhook_inbox`; `next_try_at` is None once there is a verdict."""

    message: ports.Message
    received_at: datetime
    next_try_at: datetime | None
    verdict: str | None = None


@dataclass(slots=True)
class MemoryDatabase:
    """The tables that one append writes, and the clock."""

    clock: datetime = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
    streams: dict[UUID, list[StoredEvent]] = field(default_factory=dict)
    rows: dict[UUID, MediaRow] = field(default_factory=dict)
    outbox: dict[tuple[UUID, int], OutboxEntry] = field(default_factory=dict)
    jobs: dict[str, JobEntry] = field(default_factory=dict)
    calls: dict[tuple[UUID, int], CallsEntry] = field(default_factory=dict)
    breakers: dict[ports.Breaker, datetime] = field(default_factory=dict)
    """When the next probe of each tripped one is due."""
    inbox: dict[tuple[ports.Channel, str], InboxEntry] = field(default_factory=dict)
    erasures: dict[UUID, ErasureEntry] = field(default_factory=dict)
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

    async def load(self, media_id: UUID, owner: str | None = None) -> list[StoredEvent]:
        found = list(self.database.streams.get(media_id, []))
        first = found[0].event if found else None
        own = first is not None and first.type == "media.registered" and first.creator_id == owner
        return found if owner is None or own else []

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
        if item.status is Status.ERASED:
            stream = self._emptied(media_id, stream, item)
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
        salt = self.database.last_position.to_bytes(SALT_BYTES)
        event, personal = seal(event, salt, canonical)
        payload = rfc8785.dumps(cast("Any", event.payload()))
        return StoredEvent(
            position=self.database.last_position,
            stream_id=media_id,
            version=len(stream) + 1,
            event_id=own_id,
            event=event,
            schema_version=event.schema_version,
            payload_json=payload.decode(),
            personal=personal,
            context=context,
            occurred_at=self.database.clock,
            recorded_at=self.database.clock,
            prev_hash=(previous := stream[-1].hash if stream else b""),
            hash=sha256(previous + payload).digest(),
        )

    def _emptied(
        self, media_id: UUID, stream: list[StoredEvent], item: MediaItem
    ) -> list[StoredEvent]:
        now, before = self.database.clock, stream[-2]
        ended = self.database.rows[media_id]["status"] in {Status.READY, Status.FAILED}
        self.database.erasures[media_id] = ErasureEntry(
            item.creator_id, now, before.recorded_at if ended else now, now
        )
        return [_without_personal(stored) for stored in stream]

    def _write_work(self, media_id: UUID, types: set[str], item: MediaItem) -> None:
        clock = self.database.clock
        if "media.transcoding_requested" in types:
            self.database.outbox[media_id, item.attempt] = OutboxEntry(clock)
        if "media.transcoding_submitted" in types and item.runpod_job_id is not None:
            self._empty_outbox(media_id)
            watched = JobEntry(media_id, item.attempt, clock + POLL_INTERVAL)
            self.database.jobs[item.runpod_job_id] = watched
        if item.status in {Status.READY, Status.FAILED, Status.ERASED}:
            self._empty_outbox(media_id)
            for job in self.database.jobs.values():
                job.closed = job.closed or job.media_id == media_id

    def _empty_outbox(self, media_id: UUID) -> None:
        for key in [key for key in self.database.outbox if key[0] == media_id]:
            del self.database.outbox[key]


def _without_personal(stored: StoredEvent) -> StoredEvent:
    event = stored.event
    if isinstance(event, CommittingEvent) and event.commitment is not None:
        event = event.model_copy(update=dict.fromkeys(event.personal_fields))
    return stored.model_copy(update={"event": event, "personal": None})


def canonical(value: Mapping[str, object]) -> str:
    """RFC 8785 text."""
    return rfc8785.dumps(cast("Any", value)).decode()


def _check_fit(stream: list[StoredEvent], events: Sequence[Event], item: MediaItem) -> None:
    path = [*(stored.event.type for stored in stream), *(event.type for event in events)]
    status = INITIAL if path[0] == FIRST_EVENT else None
    for event_type in path[1:]:
        status = next_status(status, event_type) if status is not None else None
    if (status, len(path)) != (item.status, item.version):
        raise ValueError(f"{path} does not make a {item.status} item at version {item.version}")
