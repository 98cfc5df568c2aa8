"""The events of a media item's life, and the envelope they are stored in.

Stored payloads use camelCase. A stored shape never changes: a new shape is a new schema version.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from domain.failure import ErrorCode


class MediaType(StrEnum):
    """What the creator says the file is."""

    VIDEO = "video"
    AUDIO = "audio"


class Trigger(StrEnum):
    """What asked for an attempt."""

    UPLOAD = "upload"
    RETRY = "retry"


class Shape(BaseModel):
    """Base of every stored shape: frozen, camelCase, nothing beyond the declared fields."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )


class EventBase(Shape):
    """Base of every event. `type` is stored beside the payload, not in it."""

    schema_version: ClassVar[int] = 1
    type: str

    def payload(self) -> dict[str, object]:
        """The fields as stored: JSON types, camelCase, without `type`."""
        return self.model_dump(mode="json", by_alias=True, exclude={"type"})


class Registered(EventBase):
    """A creator announced a file and got a place to upload it to."""

    type: Literal["media.registered"] = "media.registered"
    creator_id: str
    media_type: MediaType
    input_key: str
    file_name: str
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


class TranscodingFailed(EventBase):
    """The attempt is over without outputs."""

    type: Literal["media.transcoding_failed"] = "media.transcoding_failed"
    attempt: int
    runpod_job_id: str | None
    error_code: ErrorCode
    message: str
    retryable: bool
    stderr_tail: str


class RetryRequested(EventBase):
    """Somebody asked for another attempt."""

    type: Literal["media.retry_requested"] = "media.retry_requested"
    actor: str


Event = Annotated[
    Registered
    | UploadCompleted
    | UploadExpired
    | TranscodingRequested
    | TranscodingSubmitted
    | TranscodingStarted
    | TranscodingCompleted
    | TranscodingFailed
    | RetryRequested,
    Field(discriminator="type"),
]

Sha256Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
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
    context: Context
    occurred_at: datetime
    recorded_at: datetime
    prev_hash: bytes
    hash: bytes
