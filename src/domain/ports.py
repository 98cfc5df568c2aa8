"""What the use cases need from outside, as they see it. Every call ends within its own timeout."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol
from uuid import UUID

from domain.commands import Outputs
from domain.events import Context, Event, MediaType, StoredEvent
from domain.lifecycle import Status
from domain.media import MediaItem


class EventStore(Protocol):
    """Streams of events, with the projection and the outbox kept in the same transaction."""

    async def load(self, media_id: UUID, owner: str | None = None) -> list[StoredEvent]:
        """The stream in order; empty when there is none, or when it is not the `owner`'s.

        What is somebody else's is not read: it must take no longer than what is missing.
        """
        ...

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
        """Append `events`, which make `item`; what was appended, also when it was so before.

        Event ids come from `command_id`. `ConcurrencyConflict` when the stream moved on,
        `StoreInterrupted` when the connection broke and nobody knows.
        """
        ...

    async def now(self) -> datetime:
        """The database's clock: the only one deadlines are kept on."""
        ...


class FoundObject(NamedTuple):
    """An object as the bucket describes it."""

    size: int
    etag: str
    content_type: str


class PresignedUpload(NamedTuple):
    """A PUT the creator can send straight to the bucket, with exactly these headers."""

    url: str
    headers: dict[str, str]
    expires_at: datetime


class ObjectStorage(Protocol):
    """The bucket. Raises `StorageUnavailable` when it does not answer."""

    async def presign_put(self, key: str, content_type: str, size: int) -> PresignedUpload:
        """A signed PUT that only accepts this size and type, and never overwrites."""
        ...

    async def head(self, key: str) -> FoundObject | None:
        """What is at `key`, or None."""
        ...

    async def probe(self) -> None:
        """Write a small object, as workers must be able to. `StorageUnavailable` if that fails."""
        ...


class TranscodingJob(NamedTuple):
    """What the transcoder is asked to do."""

    media_id: UUID
    attempt: int
    attempt_id: UUID
    media_type: MediaType
    creator_id: str
    input_key: str
    input_etag: str
    traceparent: str | None
    deadline: datetime
    assist: bool = False
    """Help the job that has the attempt."""


class JobPhase(StrEnum):
    """A job's life, reduced to what matters here."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class JobState:
    """What the transcoder says of a job."""

    phase: JobPhase
    error: str | None = None
    attempt_id: UUID | None = None
    """The attempt that its result names, if it has one that does."""
    superseded: bool = False
    """Its worker found another job at work on the attempt, and left it alone."""
    answer: bytes | None = field(default=None, compare=False, repr=False)
    """The message that says so, byte by byte."""


class Transcoder(Protocol):
    """The vendor's job queue."""

    async def submit(self, job: TranscodingJob, now: datetime) -> str:
        """Queue `job`; its id.

        `TranscoderRejected` or `TranscoderUnavailable` when it was not queued, `TranscoderUnknown`
        when nobody knows.
        """
        ...

    async def status(self, job_id: str) -> JobState | None:
        """The job's state; None when the vendor does not know it (any more)."""
        ...

    async def cancel(self, job_id: str) -> None:
        """Stop the job if it still runs."""
        ...

    async def ping(self) -> None:
        """`TranscoderError` unless the vendor answers us and takes our key."""
        ...


class ClaimHolder(NamedTuple):
    """Who holds an attempt's claim, and how many seconds ago (by the bucket) it said so."""

    job_id: str
    age_s: float
    released: bool


class Claims(Protocol):
    """The bucket's word on which job works on an attempt. Raises `StorageUnavailable`."""

    async def holder(self, creator_id: str, media_id: UUID, attempt: int) -> ClaimHolder | None:
        """The attempt's claim; None when no job has claimed it."""
        ...


class EvidenceKind(StrEnum):
    """What sort of message an event can rest on."""

    WORKER_CALLBACK = "worker_callback"
    RUNPOD_STATUS = "runpod_status"


class EvidenceLocker(Protocol):
    """Raw messages that events rest on, kept until their item is erased."""

    async def keep(self, media_id: UUID, kind: EvidenceKind, body: bytes) -> str:
        """Keep `body`, a message about the item, once however often it comes.

        Its SHA-256 in hex, for `Context.evidence`.
        """
        ...


class OutputsInvalid(NamedTuple):
    """Why the outputs in the bucket are not what they should be."""

    reason: str


class OutputGate(Protocol):
    """The last word on what an attempt produced: the manifest in the bucket."""

    async def inspect(
        self, media_id: UUID, creator_id: str, media_type: MediaType, attempt_id: UUID
    ) -> Outputs | OutputsInvalid | None:
        """The verified outputs; why they are invalid; or None when no manifest is there."""
        ...


class Lease(NamedTuple):
    """An attempt taken off the outbox for sending. `tries` counts this one."""

    media_id: UUID
    attempt: int
    tries: int


class Calls(NamedTuple):
    """Calls for an attempt that may have queued a job, and how long ago the last one began."""

    made: int
    age_s: float


class Outbox(Protocol):
    """Attempts that still need a job. Filled by the append that requests them."""

    async def take(self, media_id: UUID | None = None) -> Lease | None:
        """Lease a due attempt (of one item, if given); None when there is none.

        Also None while any breaker is tripped.
        """
        ...

    async def postpone(self, lease: Lease, delay_s: float, reason: str) -> None:
        """Give the lease back: next try after `delay_s` seconds."""
        ...

    async def add(self, media_id: UUID, attempt: int) -> None:
        """Queue an attempt whose job was lost."""
        ...

    async def drop(self, lease: Lease) -> None:
        """The attempt needs no job any more."""
        ...

    async def calls(self, media_id: UUID, attempt: int) -> Calls:
        """The calls made for an attempt so far."""
        ...

    async def begin_call(self, lease: Lease) -> bool:
        """Count a call before it is made; False when the attempt has used up its calls."""
        ...

    async def take_back_call(self, lease: Lease) -> None:
        """The call just begun queued nothing for sure."""
        ...


class WatchedJob(NamedTuple):
    """A job that RunPod accepted and whose end is not known yet."""

    job_id: str
    media_id: UUID
    attempt: int


class Watchlist(Protocol):
    """Jobs that the reconciler asks RunPod about."""

    async def take(self) -> WatchedJob | None:
        """Lease a job that is due; None when there is none."""
        ...

    async def find(self, job_id: str) -> WatchedJob | None:
        """The recorded job of this id, whether it is still watched or not."""
        ...

    async def hurry(self, media_id: UUID, attempt: int) -> None:
        """Make the attempt's jobs due now."""
        ...

    async def close(self, job_id: str) -> None:
        """Stop watching a job."""
        ...

    async def close_for_another(self, media_id: UUID, attempt: int, job_id: str | None) -> bool:
        """Stop watching a job if another one is watched, or the attempt waits for one.

        Whether there is another. Of jobs that are given up at the same moment the last stays. An
        attempt that had all its jobs waits for none, though it be queued.
        """
        ...

    async def reopen(self, job_id: str) -> None:
        """Watch a job again that was given up too early."""
        ...

    async def open_jobs(self, media_id: UUID) -> list[str]:
        """The ids of an item's jobs that may still run."""
        ...


class Breaker(StrEnum):
    """What dispatch depends on. While one is tripped, no attempt is sent."""

    RUNPOD_KEY = "runpod_key"
    BUCKET = "bucket"


class Breakers(Protocol):
    """What keeps a fault that is nobody's file's from using up everybody's attempts."""

    async def trip(self, breaker: Breaker, reason: str) -> None:
        """Stop dispatch until a probe succeeds."""
        ...

    async def take_probe(self) -> Breaker | None:
        """Lease a tripped breaker whose next probe is due; None when there is none."""
        ...

    async def reset(self, breaker: Breaker) -> None:
        """Let dispatch go on."""
        ...


class Overdue(NamedTuple):
    """An item whose state has outlived its deadline."""

    media_id: UUID
    status: Status


class Deadlines(Protocol):
    """States that end by themselves."""

    async def overdue(self, limit: int) -> list[Overdue]:
        """At most `limit` items that are overdue, the longest first."""
        ...


class Channel(StrEnum):
    """Where a message about a job came from."""

    WORKER = "worker"
    RUNPOD = "runpod"


class Message(NamedTuple):
    """A message as kept. `age_s` is how long ago it came; `tries` counts this one."""

    row_id: int
    channel: Channel
    media_id: UUID
    attempt: int
    body: bytes
    age_s: float
    tries: int


class Received(NamedTuple):
    """A message that was kept: new, or one that came before and what became of that."""

    message: Message
    new: bool
    verdict: str | None


class Inbox(Protocol):
    """Messages about jobs, kept before anything is made of them."""

    async def receive(
        self, channel: Channel, message_id: str, media_id: UUID, attempt: int, body: bytes
    ) -> Received:
        """Keep a message, leased to the receiver; the same one is kept once."""
        ...

    async def take(self) -> Message | None:
        """Lease a message without a verdict whose time has come; None when there is none."""
        ...

    async def decide(self, row_id: int, verdict: str) -> None:
        """Note what became of a message."""
        ...

    async def postpone(self, row_id: int, delay_s: float) -> None:
        """Look at a message again after `delay_s` seconds."""
        ...
