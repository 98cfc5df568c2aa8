"""What goes over the wire between the service and the worker, and where outputs lie in the bucket.

The service may import this module and `gpu_worker.signature`, and nothing else of the worker. Both
sides derive every key from ids with :class:`OutputLayout`; a key in a message is only compared.

Field names are camelCase on the wire. Unknown fields are ignored. Each message has a schema version
of its own, which changes with its shape alone; who reads it accepts the version before, too. So the
service is upgraded first and the workers after it, one by one.
"""

from enum import StrEnum
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

SCHEMA_VERSION: Literal[1] = 1
"""Of jobs, reports and claims."""
MANIFEST_SCHEMA_VERSION: Literal[2] = 2

MOST_ASSISTANTS = 64
"""Of one attempt."""
CONFORMANCE_NAME = "conformance.json"
"""Under an item's prefix: which rules of HLS its output was held against."""
EXTRAS_NAME = "extras.json"
"""Under an item's prefix: see `contract_extras.py`. Outputs of older workers have none."""

MediaType = Literal["video", "audio"]
Encoder = Literal["h264_nvenc", "libx264", "aac"]
"""`aac` for audio-only media, which have no video encoder."""
Stage = Literal["download", "probe", "encode", "upload", "finish"]
Sha256Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Md5Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
JobId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,100}$")]
"""RunPod's id of a job. All that were ever seen look like `eaebd6e7-…-u1`; it goes into paths."""
CreatorId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
"""A creator's id becomes the first part of every key, so it can hold neither `/` nor `.`."""
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
"""A number that is counted or measured; what a database's integer holds."""
Visible = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,150}$")]
"""An id or name made by a program: printable ASCII without spaces."""


class WireModel(BaseModel):
    """Base of every message: camelCase aliases, frozen, unknown fields ignored."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        frozen=True,
        allow_inf_nan=False,
    )

    def to_json(self) -> str:
        """This message as JSON text with wire names; absent optional fields are left out."""
        return self.model_dump_json(by_alias=True, exclude_none=True)


class OutputLayout:
    """The keys of one media item's outputs, all derived from its ids."""

    def __init__(self, creator_id: str, media_id: UUID) -> None:
        self.prefix = f"{creator_id}/hls/{media_id}/"
        self.master = f"{self.prefix}master.m3u8"
        self.manifest = f"{self.prefix}manifest.json"
        self.preview = f"{self.prefix}preview/preview.m3u8"
        self.conformance = f"{self.prefix}{CONFORMANCE_NAME}"
        self.extras = f"{self.prefix}{EXTRAS_NAME}"
        self.animated = f"{self.prefix}animated.webp"
        self.thumbnail = f"{creator_id}/thumbnails/media/{media_id}/auto-generated.jpg"
        self.waveform = f"{creator_id}/waveforms/{media_id}/waveform.json"


def claims_prefix(creator_id: str, media_id: UUID) -> str:
    """The folder of the claims of all attempts."""
    return f"{creator_id}/claims/{media_id}/"


def claim_key(creator_id: str, media_id: UUID, attempt: int) -> str:
    """Where the claim of one attempt lies."""
    return f"{claims_prefix(creator_id, media_id)}{attempt}"


def chunks_prefix(creator_id: str, media_id: UUID) -> str:
    """The folder of what is kept of chunks while films are made; see `chunk_objects.py`."""
    return f"{creator_id}/chunks/{media_id}/"


class Claim(WireModel):
    """Who works on an attempt: an object of its own in the bucket, written on conditions alone.

    Any version is read: a worker that could not read a newer one's claim would take the attempt
    from under it. What is here now therefore keeps its meaning.
    """

    schema_version: int = Field(default=SCHEMA_VERSION, ge=1)
    media_id: UUID
    attempt: int = Field(ge=1)
    attempt_id: UUID
    job_id: JobId
    worker: Visible
    holder: UUID
    """New for every run: RunPod may run one job on two machines."""
    renewals: int = Field(default=0, ge=0)
    released: bool = False
    """The run ended without an output; whoever comes next may take the attempt at once."""


class JobInput(WireModel):
    """`input` of a RunPod job. Holds no secret: RunPod sends it back in its webhook."""

    schema_version: Literal[1] = SCHEMA_VERSION
    media_id: UUID
    attempt: Count
    attempt_id: UUID
    type: MediaType
    creator_id: CreatorId
    input_key: str
    input_etag: str
    webhook_url: str
    traceparent: str | None = None
    assist: Literal[True] | None = None
    """Make chunks for the job that has the attempt, and report nothing."""


class WorkerErrorCode(StrEnum):
    """Why a job failed, as far as the worker can tell."""

    INPUT_UNREADABLE = "input_unreadable"
    INPUT_UNSUPPORTED = "input_unsupported"
    INPUT_TOO_LARGE = "input_too_large"
    INPUT_CHANGED = "input_changed"
    NO_MEDIA_STREAM = "no_media_stream"
    ENCODE_FAILED = "encode_failed"
    TIMED_OUT = "timed_out"
    OUTPUT_INVALID = "output_invalid"
    STORAGE_UNAVAILABLE = "storage_unavailable"


RETRYABLE_CODES = frozenset(
    {
        WorkerErrorCode.ENCODE_FAILED,
        WorkerErrorCode.TIMED_OUT,
        WorkerErrorCode.OUTPUT_INVALID,
        WorkerErrorCode.STORAGE_UNAVAILABLE,
    }
)
"""Codes for which another attempt on the same file may end differently."""


class WorkerError(WireModel):
    """A failure: `message` is one sentence for the creator, `stderr_tail` is for operators."""

    code: WorkerErrorCode
    message: Annotated[str, StringConstraints(max_length=500)]
    retryable: bool
    stderr_tail: Annotated[str, StringConstraints(max_length=4000)] = ""


class Progress(WireModel):
    """How far a running job is."""

    percent: float = Field(ge=0, le=100)
    stage: Stage
    rung: Visible | None = None
    assistants_wanted: int | None = Field(default=None, ge=0, le=MOST_ASSISTANTS)
    """So many more jobs could make chunks of the film."""


class Rendition(WireModel):
    """One variant of the ladder as produced. Rates are measured on the segments, audio included."""

    name: Visible
    """`1080p` … `360p`, or `128k`, `64k` for audio-only media."""
    playlist_key: str
    codecs: Visible
    """RFC 6381 codecs parameter."""
    bandwidth_bps: Count
    """Peak over any segment (RFC 8216, 4.3.4.2)."""
    average_bandwidth_bps: Count
    width: Count | None = None
    height: Count | None = None
    frame_rate: float | None = None


class Timing(WireModel):
    """How long a job's stages took, so far; and of which trace it is."""

    stage_seconds: Annotated[dict[str, Annotated[float, Field(ge=0)]], Field(max_length=16)]
    """By the names of `Stage`, and of those that newer workers know."""
    caused_by: str | None = None
    """The `traceparent` that the job was given."""
    traceparent: str | None = None
    """The job's own."""


class ReportOutput(WireModel):
    """The `output` of a callback. `started`, `progress` and `failed` carry the ids alone."""

    media_id: UUID
    attempt: Count
    attempt_id: UUID
    type: MediaType
    hls_master_key: str | None = None
    hls_preview_key: str | None = None
    thumbnail_key: str | None = None
    waveform_key: str | None = None
    duration_seconds: float | None = None
    width: int | None = None
    height: int | None = None
    encoder: Encoder | None = None
    encoder_note: str | None = None
    """Why a lesser encoder was used, e.g. `libx264 instead of h264_nvenc: …`."""
    worker: Visible | None = None
    manifest_sha256: Sha256Hex | None = None
    timing: Timing | None = None
    """Of `completed` and `failed`; older workers send none."""


class Report(WireModel):
    """Body of the worker's signed callback (`POST /api/transcoding/webhook`)."""

    schema_version: Literal[1] = SCHEMA_VERSION
    job_id: Visible
    status: Literal["started", "progress", "completed", "failed"]
    output: ReportOutput
    progress: Progress | None = None
    error: WorkerError | None = None


class SupersededOutput(WireModel):
    """What a run returns to RunPod when another one has its attempt. It reports nothing else."""

    superseded: Literal[True] = True
    media_id: UUID
    attempt_id: UUID
    holder_job_id: JobId
    """The job that has it; of this attempt, or of a newer one."""


class AssistedOutput(WireModel):
    """What a job returns to RunPod that has helped another one. It reports nothing else."""

    assisted: Literal[True] = True
    media_id: UUID
    attempt_id: UUID
    chunks: int = Field(ge=0)
    note: str | None = None
    """Why it made none, or no more."""


class ManifestObject(WireModel):
    """One object of the output, as uploaded."""

    key: str
    size: int = Field(ge=0)
    sha256: Sha256Hex
    md5: Md5Hex | None = None
    """What most stores give as the ETag of an object put in one piece. Since version 2."""
    content_type: str


class Manifest(WireModel):
    """`manifest.json`, written last: an output without it is not finished.

    Lists every other object of the output with size in bytes, SHA-256 and MD5.
    """

    schema_version: Literal[1, 2] = MANIFEST_SCHEMA_VERSION
    media_id: UUID
    attempt: Count
    attempt_id: UUID
    job_id: Visible
    type: MediaType
    worker: Visible
    encoder: Encoder
    encoder_note: Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")] | None = None
    input_key: str
    input_etag: str
    hls_master_key: str
    hls_preview_key: str
    thumbnail_key: str | None = None
    waveform_key: str | None = None
    duration_seconds: float = Field(gt=0)
    width: Count | None = None
    height: Count | None = None
    renditions: tuple[Rendition, ...]
    gpu_seconds: float = Field(ge=0)
    """Wall-clock seconds this job held its machine, download and upload included."""
    probe: dict[str, object]
    """What ffprobe said of the input: format and streams, without tags."""
    objects: tuple[ManifestObject, ...]

    @model_validator(mode="after")
    def _every_object_has_its_md5(self) -> Self:
        if self.schema_version > 1 and any(item.md5 is None for item in self.objects):
            raise ValueError("since version 2 every object has its md5")
        return self
