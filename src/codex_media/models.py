"""What the service answers, as Python objects; camelCase on the wire.

They take what a newer service adds: fields that they do not know are left out, states and codes
that they do not know stay text.
"""

from enum import StrEnum
from typing import Annotated, Literal, TypeVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

E = TypeVar("E", bound=StrEnum)
Open = Annotated[E | str, Field(union_mode="left_to_right")]
"""One of the known values, or the text that a newer service sends."""


class Model(BaseModel):
    """Immutable, and lenient to what it does not know."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore"
    )


class Status(StrEnum):
    """The states of an item."""

    UPLOADING = "uploading"
    UPLOADED = "uploaded"
    TRANSCODING = "transcoding"
    READY = "ready"
    FAILED = "failed"
    ERASED = "erased"


FINAL = frozenset({Status.READY, Status.FAILED, Status.ERASED})
"""Where an item stays until somebody acts."""


class ErrorCode(StrEnum):
    """Why an item failed."""

    INPUT_UNREADABLE = "input_unreadable"
    INPUT_UNSUPPORTED = "input_unsupported"
    INPUT_TOO_LARGE = "input_too_large"
    INPUT_CHANGED = "input_changed"
    NO_MEDIA_STREAM = "no_media_stream"
    ENCODE_FAILED = "encode_failed"
    WORKER_LOST = "worker_lost"
    TIMED_OUT = "timed_out"
    SUBMIT_REJECTED = "submit_rejected"
    SUBMIT_UNREACHABLE = "submit_unreachable"
    OUTPUT_INVALID = "output_invalid"
    STORAGE_UNAVAILABLE = "storage_unavailable"
    UPLOAD_EXPIRED = "upload_expired"


class Role(StrEnum):
    """What a token allows."""

    CREATOR = "creator"
    AUDITOR = "auditor"
    ADMIN = "admin"


class Session(Model):
    """Who is signed in, and as what."""

    subject: str
    roles: list[Open[Role]]


class ItemError(Model):
    """Why an item failed, and what its creator can do."""

    code: Open[ErrorCode]
    message: str
    retryable: bool
    hint: str


class Outputs(Model):
    """Keys of what was produced, in the bucket."""

    hls_master_playlist_key: str | None
    hls_preview_key: str | None
    thumbnail_key: str | None
    waveform_key: str | None


class Cover(Model):
    """A signed checkpoint of the ledger, of its first `size` events."""

    size: int
    note: str


class Seal(Model):
    """An event's place in the ledger, and the first checkpoint that covers it, if any."""

    seq: int
    checkpoint: Cover | None


class AsOf(Model):
    """Which past an answer shows, and what covers it."""

    version: int
    at: AwareDatetime
    seq: int | None
    checkpoint: Cover | None


class Media(Model):
    """A media item; `size` in bytes."""

    id: UUID
    status: Open[Status]
    media_type: str
    file_name: str | None
    """None once the item was erased."""
    content_type: str
    size: int
    error: ItemError | None
    attempts: int
    outputs: Outputs
    duration_seconds: float | None
    width: int | None
    height: int | None
    encoder: str | None
    encoder_note: str | None
    version: int
    created_at: AwareDatetime
    updated_at: AwareDatetime
    as_of: AsOf | None = None


class MediaPage(Model):
    """One page of a creator's items, newest first."""

    items: list[Media]
    next_cursor: str | None


class Progress(Model):
    """How far the running attempt is."""

    percent: float
    stage: str
    rung: str | None
    updated_at: AwareDatetime


class MediaStatus(Model):
    """The state of an item's transcoding."""

    media_id: UUID
    status: Open[Status]
    error: ItemError | None
    attempts: int
    runpod_job_id: str | None
    outputs: Outputs
    progress: Progress | None
    version: int

    @property
    def final(self) -> bool:
        """Whether it stays so until somebody acts."""
        return self.status in FINAL


class Personal(Model):
    """What an event commits to of what it says of a person."""

    salt: str
    fields: dict[str, JsonValue]


class Event(Model):
    """One event of an item's history, with its place in the hash chain."""

    version: int
    event_id: UUID
    type: str
    schema_version: int
    payload: JsonValue
    personal: Personal | None = None
    actor: str
    correlation_id: UUID
    causation_id: UUID | None
    traceparent: str | None
    evidence: str | None = None
    occurred_at: AwareDatetime
    recorded_at: AwareDatetime
    prev_hash: str
    hash: str


class History(Model):
    """An item's whole history, in order; `seal` is that of its last event."""

    media_id: UUID
    events: list[Event]
    seal: Seal | None = None


class Loudness(Model):
    """How loud the sound is as delivered (EBU R 128)."""

    integrated_lufs: float | None
    range_lu: float | None
    true_peak_dbtp: float | None
    gain_db: float


class Playback(Model):
    """URLs that a player can load without signing in, until `expires_at`, or openly."""

    master_url: str
    preview_url: str | None
    poster_url: str | None
    waveform_url: str | None
    storyboard_url: str | None
    animated_preview_url: str | None
    loudness: Loudness | None
    notes: list[str]
    expires_at: AwareDatetime | None


class SingleUpload(Model):
    """One request with exactly these headers, before the URL expires."""

    kind: Literal["single"] = "single"
    method: str = "PUT"
    url: str
    headers: dict[str, str]
    expires_at: AwareDatetime


class Part(Model):
    """A part that is missing: PUT its `size` bytes, without further headers."""

    number: int
    size: int
    url: str


class PartsUpload(Model):
    """A large file in parts, in any order and at once; `part_size` in bytes."""

    kind: Literal["parts"] = "parts"
    part_size: int
    parts: list[Part]
    done: list[int]
    expires_at: AwareDatetime


Upload = SingleUpload | PartsUpload


class Registered(Model):
    """A registered item. `upload` is None when its file arrived already (a repeated request)."""

    media: Media
    upload: Annotated[Upload, Field(discriminator="kind")] | None


class LedgerEvent(Model):
    """An event at its place in the order of all events; `seq` is dense, from 1."""

    seq: int
    media_id: UUID
    event: Event


class Checkpoint(Model):
    """The newest signed checkpoint. Keep `note`, and verify later bundles with it."""

    size: int
    root: str
    key_id: str
    signed_at: AwareDatetime
    note: str
    public_key: str


class Health(Model):
    """A probe's answer: `ok`, or what is wrong with each part."""

    status: str
    checks: dict[str, str] = {}
