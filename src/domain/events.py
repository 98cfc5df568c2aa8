"""The events of a media item's life, and the envelope they are stored in.

Stored payloads use camelCase. A stored shape never changes: a new shape is a new schema version.
What an event says of a person is not in its payload, which only commits to it: `domain.personal`.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from domain.failure import ErrorCode
from domain.personal import PersonalRecord


class MediaType(StrEnum):
    """What the creator says the file is."""

    VIDEO = "video"
    AUDIO = "audio"


class Trigger(StrEnum):
    """What asked for an attempt."""

    UPLOAD = "upload"
    RETRY = "retry"


class ErasureReason(StrEnum):
    """Why an item was erased."""

    CREATOR_REQUEST = "creator_request"
    RETENTION = "retention"
    ADMIN = "admin"


Sha256Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Shape(BaseModel):
    """Base of every stored shape: frozen, camelCase, nothing beyond the declared fields."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )


class EventBase(Shape):
    """Base of every event. `type` is stored beside the payload, not in it."""

    schema_version: ClassVar[int] = 1
    personal_fields: ClassVar[frozenset[str]] = frozenset()
    type: str

    def payload(self) -> dict[str, object]:
        """The fields as stored: JSON types, camelCase, without `type`."""
        return self.model_dump(mode="json", by_alias=True, exclude={"type"})


class CommittingEvent(EventBase):
    """Base of events with fields that are personal. Their payload has a commitment in their place.

    The fields are None once they were erased. The commitment is None until the event is stored, and
    in events of version 1, which have the fields themselves in their payload, for good.
    """

    commitment: Sha256Hex | None

    def payload(self) -> dict[str, object]:
        """The fields as stored, without those that are personal; ValueError before `seal`."""
        if self.commitment is None:
            raise ValueError(f"{self.type} has no commitment: seal it first")
        return self.model_dump(mode="json", by_alias=True, exclude={"type", *self.personal_fields})

    def personal(self) -> dict[str, object]:
        """The personal fields as they are kept: JSON types, camelCase."""
        return self.model_dump(mode="json", by_alias=True, include=set(self.personal_fields))


class Registered(CommittingEvent):
    """A creator announced a file and got a place to upload it to."""

    schema_version: ClassVar[int] = 2
    personal_fields: ClassVar[frozenset[str]] = frozenset({"input_key", "file_name"})
    type: Literal["media.registered"] = "media.registered"
    creator_id: str
    media_type: MediaType
    input_key: str | None = None
    file_name: str | None = None
    content_type: str
    declared_size: int
    """Bytes, as the creator declared."""
    upload_deadline: AwareDatetime


class UploadCompleted(EventBase):
    """The object is in the bucket: size in bytes and ETag as found there."""

    type: Literal["media.upload_completed"] = "media.upload_completed"
    size: int
    etag: str


class UploadExpired(EventBase):
    """No object came before the deadline."""

    type: Literal["media.upload_expired"] = "media.upload_expired"
    deadline: AwareDatetime


class TranscodingRequested(EventBase):
    """An attempt begins. It must end before `deadline`, whatever happens to its jobs."""

    type: Literal["media.transcoding_requested"] = "media.transcoding_requested"
    attempt: int
    attempt_id: UUID
    trigger: Trigger
    deadline: AwareDatetime


class TranscodingSubmitted(EventBase):
    """RunPod accepted a job for the attempt."""

    type: Literal["media.transcoding_submitted"] = "media.transcoding_submitted"
    attempt: int
    runpod_job_id: str


class TranscodingStarted(EventBase):
    """A worker took the job up."""

    type: Literal["media.transcoding_started"] = "media.transcoding_started"
    attempt: int
    runpod_job_id: str
    worker: str
    encoder: str


class RenditionFact(Shape):
    """One produced rendition."""

    name: str
    playlist_key: str
    bandwidth_bps: int
    codecs: str
    width: int | None = None
    height: int | None = None


class TranscodingCompleted(EventBase):
    """The outputs are in the bucket and fit their manifest."""

    type: Literal["media.transcoding_completed"] = "media.transcoding_completed"
    attempt: int
    runpod_job_id: str
    hls_master_playlist_key: str
    hls_preview_key: str
    thumbnail_key: str | None
    waveform_key: str | None
    duration_seconds: float
    width: int | None
    height: int | None
    renditions: tuple[RenditionFact, ...]
    manifest_key: str
    manifest_sha256: str
    encoder: str
    encoder_note: str | None
    gpu_seconds: float


class TranscodingFailed(CommittingEvent):
    """The attempt is over without outputs. Its texts may quote what stands in the file."""

    schema_version: ClassVar[int] = 2
    personal_fields: ClassVar[frozenset[str]] = frozenset({"message", "stderr_tail"})
    type: Literal["media.transcoding_failed"] = "media.transcoding_failed"
    attempt: int
    runpod_job_id: str | None
    error_code: ErrorCode
    message: str | None = None
    retryable: bool
    stderr_tail: str | None = None


class RetryRequested(EventBase):
    """Somebody asked for another attempt."""

    type: Literal["media.retry_requested"] = "media.retry_requested"
    actor: str


class Erased(EventBase):
    """The item is no more: its objects, and what was said of a person, by these commitments."""

    type: Literal["media.erased"] = "media.erased"
    actor: str
    reason: ErasureReason
    commitments: tuple[Sha256Hex, ...]


Event = Annotated[
    Registered
    | UploadCompleted
    | UploadExpired
    | TranscodingRequested
    | TranscodingSubmitted
    | TranscodingStarted
    | TranscodingCompleted
    | TranscodingFailed
    | RetryRequested
    | Erased,
    Field(discriminator="type"),
]

Actor = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]


class Context(Shape):
    """Who or what caused an append, and the request it belongs to."""

    actor: Actor
    """`creator:ID`, `worker:JOB`, `runpod`, `system:dispatcher` …"""
    correlation_id: UUID
    causation_id: UUID | None = None
    traceparent: str | None = None
    evidence: Sha256Hex | None = None
    """SHA-256 of the raw message that the append rests on."""


class StoredEvent(Shape):
    """An event with its place in history, as read back."""

    position: int
    stream_id: UUID
    version: int
    event_id: UUID
    event: Event
    schema_version: int
    payload_json: str
    """RFC 8785 text of the payload, exactly as hashed."""
    personal: PersonalRecord | None = None
    """What the payload commits to; None where it commits to nothing, or that was erased."""
    context: Context
    occurred_at: datetime
    recorded_at: datetime
    prev_hash: bytes
    hash: bytes
