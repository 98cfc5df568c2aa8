"""Valid events and commands with readable defaults: one video of one creator."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import rfc8785

from domain import commands as c
from domain import events as e
from domain.failure import ErrorCode, advice
from domain.keys import original_key
from domain.media import attempt_id
from domain.sealing import Sealed, seal

MEDIA_ID = UUID("0190a1b2-0000-4000-8000-000000000001")
CREATOR = "creator-1"
NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
UPLOAD_DEADLINE = NOW + timedelta(hours=24)
TRANSCODING_DEADLINE = NOW + timedelta(hours=2)
SIZE = 1_048_576
ETAG = '"9b2cf535f27731c974343645a3985328"'
WORKER = "worker-a"
SHA256 = "ab" * 32
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

VIDEO_RENDITIONS = (
    e.RenditionFact(
        name="720p",
        playlist_key=f"{CREATOR}/hls/{MEDIA_ID}/720p.m3u8",
        bandwidth_bps=2_750_000,
        codecs="avc1.64001f,mp4a.40.2",
        width=1280,
        height=720,
    ),
)
AUDIO_RENDITIONS = (
    e.RenditionFact(
        name="128k",
        playlist_key=f"{CREATOR}/hls/{MEDIA_ID}/128k.m3u8",
        bandwidth_bps=140_000,
        codecs="mp4a.40.2",
    ),
)


def context(actor: str = f"creator:{CREATOR}", traceparent: str = TRACEPARENT) -> e.Context:
    """The context of a request."""
    return e.Context(
        actor=actor,
        correlation_id=UUID("0190a1b2-0000-4000-8000-0000000000cc"),
        traceparent=traceparent,
    )


def job_id(attempt: int = 1, number: int = 1) -> str:
    """The id of the attempt's first or second job, in RunPod's form."""
    return f"job-{attempt}{number}-u1"


def video_outputs(encoder_note: str | None = None) -> c.Outputs:
    """What a finished video left in the bucket."""
    return c.Outputs(
        runpod_job_id=job_id(),
        hls_master_playlist_key=f"{CREATOR}/hls/{MEDIA_ID}/master.m3u8",
        hls_preview_key=f"{CREATOR}/hls/{MEDIA_ID}/preview/preview.m3u8",
        thumbnail_key=f"{CREATOR}/thumbnails/media/{MEDIA_ID}/auto-generated.jpg",
        waveform_key=None,
        duration_seconds=12.5,
        width=1280,
        height=720,
        renditions=VIDEO_RENDITIONS,
        manifest_key=f"{CREATOR}/hls/{MEDIA_ID}/manifest.json",
        manifest_sha256=SHA256,
        encoder="libx264",
        encoder_note=encoder_note,
        gpu_seconds=4.25,
    )


def audio_outputs() -> c.Outputs:
    """What a finished audio left in the bucket."""
    return video_outputs()._replace(
        thumbnail_key=None,
        waveform_key=f"{CREATOR}/waveforms/{MEDIA_ID}/waveform.json",
        width=None,
        height=None,
        renditions=AUDIO_RENDITIONS,
        encoder="aac",
    )


def registered(
    media_type: e.MediaType = e.MediaType.VIDEO,
    file_name: str = "holiday.mp4",
    content_type: str = "video/mp4",
) -> e.Registered:
    """A creator announced a file."""
    return e.Registered(
        creator_id=CREATOR,
        media_type=media_type,
        input_key=original_key(CREATOR, MEDIA_ID, file_name),
        file_name=file_name,
        content_type=content_type,
        declared_size=SIZE,
        upload_deadline=UPLOAD_DEADLINE,
        commitment=None,
    )


def upload_completed(etag: str = ETAG) -> e.UploadCompleted:
    """The file arrived as declared."""
    return e.UploadCompleted(size=SIZE, etag=etag)


def upload_expired() -> e.UploadExpired:
    """The file never arrived."""
    return e.UploadExpired(deadline=UPLOAD_DEADLINE)


def transcoding_requested(attempt: int = 1) -> e.TranscodingRequested:
    """An attempt began: the first by the upload, any other by a retry."""
    return e.TranscodingRequested(
        attempt=attempt,
        attempt_id=attempt_id(MEDIA_ID, attempt),
        trigger=e.Trigger.UPLOAD if attempt == 1 else e.Trigger.RETRY,
        deadline=TRANSCODING_DEADLINE,
    )


def transcoding_submitted(attempt: int = 1, job: str | None = None) -> e.TranscodingSubmitted:
    """RunPod took a job."""
    return e.TranscodingSubmitted(attempt=attempt, runpod_job_id=job or job_id(attempt))


def transcoding_started(attempt: int = 1) -> e.TranscodingStarted:
    """A worker began."""
    return e.TranscodingStarted(
        attempt=attempt, runpod_job_id=job_id(attempt), worker=WORKER, encoder="libx264"
    )


def transcoding_completed(
    attempt: int = 1, outputs: c.Outputs | None = None
) -> e.TranscodingCompleted:
    """The outputs were found complete."""
    facts = (outputs or video_outputs())._replace(runpod_job_id=job_id(attempt))._asdict()
    return e.TranscodingCompleted(attempt=attempt, **facts)


def transcoding_failed(
    attempt: int = 1, code: ErrorCode = ErrorCode.ENCODE_FAILED
) -> e.TranscodingFailed:
    """The attempt ended without outputs."""
    return e.TranscodingFailed(
        attempt=attempt,
        runpod_job_id=job_id(attempt),
        error_code=code,
        message="The encoder stopped.",
        retryable=advice(code).retryable,
        stderr_tail="Conversion failed!",
        commitment=None,
    )


def retry_requested() -> e.RetryRequested:
    """The creator asked for the second attempt."""
    return e.RetryRequested(actor=f"creator:{CREATOR}")


def erased(
    commitments: tuple[str, ...] = (), reason: e.ErasureReason = e.ErasureReason.CREATOR_REQUEST
) -> e.Erased:
    """The item was erased."""
    return e.Erased(actor=f"creator:{CREATOR}", reason=reason, commitments=commitments)


def sealed(event: e.Event, salt: bytes = b"salt" * 8) -> Sealed:
    """The event as it is stored."""
    return seal(event, salt, lambda value: rfc8785.dumps(cast("Any", value)).decode())


def uploading() -> tuple[e.Event, ...]:
    """The history of an item that waits for its file."""
    return (registered(),)


def uploaded() -> tuple[e.Event, ...]:
    """A history cut between the two events of one append; only tests see it."""
    return (*uploading(), upload_completed())


def transcoding(attempt: int = 1) -> tuple[e.Event, ...]:
    """The history of an item whose attempt has a job."""
    before = uploaded() if attempt == 1 else (*failed(attempt - 1), retry_requested())
    return (*before, transcoding_requested(attempt), transcoding_submitted(attempt))


def ready() -> tuple[e.Event, ...]:
    """The history of an item that plays."""
    return (*transcoding(), transcoding_started(), transcoding_completed())


def failed(attempt: int = 1) -> tuple[e.Event, ...]:
    """The history of an item whose attempt failed."""
    return (*transcoding(attempt), transcoding_failed(attempt))


def expired() -> tuple[e.Event, ...]:
    """The history of an item whose file never arrived."""
    return (*uploading(), upload_expired())


def register_media(file_name: str = "holiday.mp4") -> c.RegisterMedia:
    """Announce the video."""
    return c.RegisterMedia(
        media_id=MEDIA_ID,
        creator_id=CREATOR,
        media_type=e.MediaType.VIDEO,
        file_name=file_name,
        content_type="video/mp4",
        declared_size=SIZE,
        upload_deadline=UPLOAD_DEADLINE,
    )


def complete_upload(etag: str = ETAG) -> c.CompleteUpload:
    """The file is there."""
    return c.CompleteUpload(MEDIA_ID, SIZE, etag, TRANSCODING_DEADLINE)


def expire_upload(now: datetime = UPLOAD_DEADLINE) -> c.ExpireUpload:
    """The upload's deadline may have passed."""
    return c.ExpireUpload(now)


def record_submission(attempt: int = 1, job: str | None = None) -> c.RecordSubmission:
    """RunPod took a job."""
    return c.RecordSubmission(attempt, job or job_id(attempt))


def record_start(attempt: int = 1) -> c.RecordStart:
    """A worker says it began."""
    return c.RecordStart(attempt, job_id(attempt), WORKER, "libx264")


def record_completion(attempt: int = 1, outputs: c.Outputs | None = None) -> c.RecordCompletion:
    """The outputs were found complete."""
    return c.RecordCompletion(
        attempt, outputs or video_outputs()._replace(runpod_job_id=job_id(attempt))
    )


def record_failure(attempt: int = 1, code: ErrorCode = ErrorCode.ENCODE_FAILED) -> c.RecordFailure:
    """A worker gave up."""
    return c.RecordFailure(
        attempt, job_id(attempt), code, "The encoder stopped.", "Conversion failed!"
    )


def retry_transcoding(failed_attempt: int = 1) -> c.RetryTranscoding:
    """The creator wants another attempt after this one."""
    return c.RetryTranscoding(MEDIA_ID, f"creator:{CREATOR}", failed_attempt, TRANSCODING_DEADLINE)


def erase_media(reason: e.ErasureReason = e.ErasureReason.CREATOR_REQUEST) -> c.EraseMedia:
    """Nothing of the item may stay."""
    return c.EraseMedia(f"creator:{CREATOR}", reason)
