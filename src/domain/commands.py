"""What can be asked of a media item. Each command carries its `now` where time matters."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from domain.events import ErasureReason, MediaType, RenditionFact
from domain.failure import ErrorCode


class RegisterMedia(NamedTuple):
    """Announce a file."""

    media_id: UUID
    creator_id: str
    media_type: MediaType
    file_name: str
    content_type: str
    declared_size: int
    upload_deadline: datetime


class CompleteUpload(NamedTuple):
    """The object is there; begin the first attempt."""

    media_id: UUID
    size: int
    etag: str
    transcoding_deadline: datetime


class ExpireUpload(NamedTuple):
    """The upload's deadline may have passed."""

    now: datetime


class AbandonUpload(NamedTuple):
    """The creator does not want to upload the file any more."""

    now: datetime


class RecordSubmission(NamedTuple):
    """RunPod accepted a job."""

    attempt: int
    runpod_job_id: str


class RecordStart(NamedTuple):
    """A worker says it began."""

    attempt: int
    runpod_job_id: str
    worker: str
    encoder: str


class Outputs(NamedTuple):
    """What an attempt produced, as its manifest says and the bucket confirms."""

    runpod_job_id: str
    """The job that wrote them."""
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


class RecordCompletion(NamedTuple):
    """The outputs were found complete."""

    attempt: int
    outputs: Outputs


class RecordFailure(NamedTuple):
    """The attempt cannot succeed any more."""

    attempt: int
    runpod_job_id: str | None
    error_code: ErrorCode
    message: str
    stderr_tail: str = ""


class RetryTranscoding(NamedTuple):
    """Begin another attempt."""

    media_id: UUID
    actor: str
    failed_attempt: int
    """The attempt whose failure was seen when the retry was asked for."""
    transcoding_deadline: datetime


class EraseMedia(NamedTuple):
    """Nothing of the item may stay but that it was."""

    actor: str
    reason: ErasureReason


Command = (
    RegisterMedia
    | CompleteUpload
    | ExpireUpload
    | AbandonUpload
    | RecordSubmission
    | RecordStart
    | RecordCompletion
    | RecordFailure
    | RetryTranscoding
    | EraseMedia
)
