"""What goes in and out over HTTP. The OpenAPI document is made from these very models."""

import json
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, StringConstraints
from pydantic.alias_generators import to_camel

from api.auth import Role
from domain.events import StoredEvent
from domain.failure import ErrorCode, advice
from domain.lifecycle import Status
from domain.personal import PersonalRecord
from gpu_worker.contract import CreatorId
from infra.postgres.reads import ItemRow


class Schema(BaseModel):
    """camelCase on the wire."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class RequestSchema(Schema):
    """A request's body: a field we do not know is a mistake worth telling."""

    model_config = ConfigDict(extra="forbid")


class RegisterRequest(RequestSchema):
    """A file to be uploaded."""

    # jsonb cannot hold NUL, and no file is rightly called with a control character.
    file_name: Annotated[
        str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$")
    ] = Field(examples=["holiday.mp4"])
    # The subtype as RFC 6838, section 4.2, has it, but for the signs that no medium's name holds.
    content_type: Annotated[
        str,
        StringConstraints(pattern=r"^[A-Za-z]+/[A-Za-z0-9][A-Za-z0-9.+-]{0,99}$", to_lower=True),
    ] = Field(examples=["video/mp4"])
    size: int = Field(gt=0, description="Bytes.", examples=[7340032])


class RetryRequest(RequestSchema):
    """The item to try again."""

    media_id: UUID


class SignInRequest(RequestSchema):
    """Whom to be, where anybody may be anybody."""

    creator: CreatorId = Field(examples=["creator-1"])
    roles: list[Role] = Field(default=[Role.CREATOR], min_length=1)


class SessionOut(Schema):
    """Who is signed in, and as what."""

    subject: str
    roles: list[Role]


class ErrorOut(Schema):
    """Why an item failed, and what its creator can do."""

    code: ErrorCode
    message: str
    retryable: bool
    hint: str


class OutputsOut(Schema):
    """Keys of what was produced, in the bucket."""

    hls_master_playlist_key: str | None
    hls_preview_key: str | None
    thumbnail_key: str | None
    waveform_key: str | None


class CoverOut(Schema):
    """A signed checkpoint of the ledger (C2SP tlog-checkpoint)."""

    size: int = Field(description="How many events it covers.")
    note: str


class SealOut(Schema):
    """An event's place in the ledger, the order of all events."""

    seq: int
    checkpoint: CoverOut | None = Field(description="The first one that covers the event, if any.")


class AsOfOut(Schema):
    """Which past an answer shows, and what covers it."""

    version: int
    at: AwareDatetime = Field(description="When the last of its events was recorded.")
    seq: int | None = Field(description="That event's place in the ledger; null until sealed.")
    checkpoint: CoverOut | None = Field(description="The first one that covers it, if any.")


class MediaOut(Schema):
    """A media item as projected from its history."""

    id: UUID
    status: Status
    media_type: Literal["video", "audio"]
    file_name: str | None = Field(description="Null once the item was erased.")
    content_type: str
    size: int = Field(description="Bytes, as declared.")
    error: ErrorOut | None
    attempts: int
    outputs: OutputsOut
    duration_seconds: float | None
    width: int | None
    height: int | None
    encoder: str | None
    encoder_note: str | None = Field(description="Why a lesser encoder was used.")
    version: int
    created_at: AwareDatetime
    updated_at: AwareDatetime
    as_of: AsOfOut | None = Field(default=None, description="With `version` or `at` alone.")


class MediaPage(Schema):
    """One page of a creator's items, newest first."""

    items: list[MediaOut]
    next_cursor: str | None


class ProgressOut(Schema):
    """How far the running attempt is."""

    percent: float
    stage: str
    rung: str | None
    updated_at: AwareDatetime


class StatusOut(Schema):
    """The state of an item's transcoding."""

    media_id: UUID
    status: Status
    error: ErrorOut | None
    attempts: int
    runpod_job_id: str | None
    outputs: OutputsOut
    progress: ProgressOut | None
    version: int


class PersonalOut(Schema):
    """What an event commits to of what it says of a person (docs/audit.md)."""

    salt: str
    fields: dict[str, JsonValue]


class EventOut(Schema):
    """One event of an item's history, with its place in the hash chain."""

    version: int
    event_id: UUID
    type: str
    schema_version: int
    payload: JsonValue
    personal: PersonalOut | None = Field(
        default=None, description="What the payload commits to; null for nothing, and once erased."
    )
    actor: str
    correlation_id: UUID
    causation_id: UUID | None
    traceparent: str | None
    evidence: str | None = Field(
        default=None, description="SHA-256 of the kept message that the event rests on."
    )
    occurred_at: AwareDatetime
    recorded_at: AwareDatetime
    prev_hash: str
    hash: str


class HistoryOut(Schema):
    """An item's whole history, in order."""

    media_id: UUID
    events: list[EventOut]
    seal: SealOut | None = Field(default=None, description="Of the last event; null until sealed.")


class LoudnessOut(Schema):
    """How loud the sound is as delivered (EBU R 128); of silence there are no figures."""

    integrated_lufs: float | None
    range_lu: float | None
    true_peak_dbtp: float | None
    gain_db: float = Field(description="What was added to it to make it as loud as wanted.")


class PlaybackOut(Schema):
    """URLs that a player can load without signing in, until `expiresAt`, or openly."""

    master_url: str
    preview_url: str | None
    poster_url: str | None
    waveform_url: str | None
    storyboard_url: str | None = Field(description="WebVTT: which part of which sheet, and when.")
    animated_preview_url: str | None = Field(description="A small animated WebP.")
    loudness: LoudnessOut | None = Field(description="Of the sound; null where unmeasured.")
    notes: list[str] = Field(description="What could not be made besides, and why.")
    expires_at: AwareDatetime | None = Field(description="Null where all lie at a public address.")


class WebhookAck(Schema):
    """What became of a webhook."""

    verdict: str


class Health(Schema):
    """A probe's answer: `ok`, or what is wrong with each part."""

    status: Literal["ok", "unavailable"]
    checks: dict[str, str] = {}


def error_out(row: ItemRow) -> ErrorOut | None:
    """The error of a failed item, with its hint."""
    if row.transcoding_error is None:
        return None
    code = ErrorCode(str(row.transcoding_error["code"]))
    return ErrorOut(
        code=code,
        message=str(row.transcoding_error["message"]),
        retryable=bool(row.transcoding_error["retryable"]),
        hint=advice(code).hint,
    )


def outputs_out(row: ItemRow) -> OutputsOut:
    """The keys of an item's outputs."""
    return OutputsOut(
        hls_master_playlist_key=row.hls_master_playlist_key,
        hls_preview_key=row.hls_preview_key,
        thumbnail_key=row.thumbnail_key,
        waveform_key=row.waveform_key,
    )


def media_out(row: ItemRow) -> MediaOut:
    """A projected row as it goes out."""
    return MediaOut(
        id=row.id,
        status=row.status,
        media_type="video" if row.media_type == "video" else "audio",
        file_name=row.file_name,
        content_type=row.content_type,
        size=row.declared_size,
        error=error_out(row),
        attempts=row.transcoding_attempts,
        outputs=outputs_out(row),
        duration_seconds=row.duration_seconds,
        width=row.width,
        height=row.height,
        encoder=row.encoder,
        encoder_note=row.encoder_note,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def status_out(row: ItemRow) -> StatusOut:
    """The transcoding status of a projected row."""
    return StatusOut(
        media_id=row.id,
        status=row.status,
        error=error_out(row),
        attempts=row.transcoding_attempts,
        runpod_job_id=row.runpod_job_id,
        outputs=outputs_out(row),
        progress=ProgressOut(**row.progress._asdict()) if row.progress else None,
        version=row.version,
    )


def _personal_out(record: PersonalRecord) -> PersonalOut:
    return PersonalOut(salt=record.salt.hex(), fields=json.loads(record.fields_json))


def event_out(stored: StoredEvent) -> EventOut:
    """A stored event as it goes out."""
    return EventOut(
        version=stored.version,
        event_id=stored.event_id,
        type=stored.event.type,
        schema_version=stored.schema_version,
        # As stored and hashed, in whatever version, not as it is read today.
        payload=json.loads(stored.payload_json),
        personal=None if stored.personal is None else _personal_out(stored.personal),
        actor=stored.context.actor,
        correlation_id=stored.context.correlation_id,
        causation_id=stored.context.causation_id,
        traceparent=stored.context.traceparent,
        evidence=stored.context.evidence,
        occurred_at=stored.occurred_at,
        recorded_at=stored.recorded_at,
        prev_hash=stored.prev_hash.hex(),
        hash=stored.hash.hex(),
    )
