"""One media item: what it may do next (`decide`). What events make of it is in `folding`."""

from datetime import datetime
from typing import assert_never
from uuid import UUID

from domain import commands as c
from domain import events as e
from domain.errors import InvalidTransition, RetryRefused, TranscodingRunning
from domain.failure import advice
from domain.folding import evolve, fold
from domain.item import (
    JOB_ID,
    MAX_ATTEMPTS,
    MAX_JOBS_PER_ATTEMPT,
    Failure,
    MediaItem,
    attempt_id,
)
from domain.keys import original_key
from domain.lifecycle import Status, next_status

__all__ = [
    "JOB_ID",
    "MAX_ATTEMPTS",
    "MAX_JOBS_PER_ATTEMPT",
    "Failure",
    "MediaItem",
    "attempt_id",
    "decide",
    "evolve",
    "fold",
]


def decide(command: c.Command, item: MediaItem | None) -> list[e.Event]:
    """The events `command` causes; none when it was done before or does not matter any more.

    Raises `InvalidTransition` (or a kind of it) where the item's state forbids the command.
    """
    if isinstance(command, c.RegisterMedia):
        return _register(command) if item is None else []
    if item is None:
        raise ValueError(f"{type(command).__name__} needs an item")
    return _checked(item.status, _decide_existing(command, item))


def _decide_existing(  # noqa: PLR0911 - one line a command
    command: c.Command, item: MediaItem
) -> list[e.Event]:
    match command:
        case c.CompleteUpload():
            return _complete_upload(command, item)
        case c.ExpireUpload(now=now):
            return _expire_upload(now, item)
        case c.AbandonUpload(now=now):
            return _abandon_upload(now, item)
        case c.RecordSubmission():
            return _record_submission(command, item)
        case c.RecordStart():
            return _record_start(command, item)
        case c.RecordCompletion():
            return _record_completion(command, item)
        case c.RecordFailure():
            return _record_failure(command, item)
        case c.RetryTranscoding():
            return _retry(command, item)
        case c.EraseMedia():
            return _erase(command, item)
        case c.RegisterMedia():
            return []
        case _:
            assert_never(command)


def _checked(status: Status, decided: list[e.Event]) -> list[e.Event]:
    for event in decided:
        following = next_status(status, event.type)
        if following is None:
            raise InvalidTransition(status, event.type)
        status = following
    return decided


def _register(command: c.RegisterMedia) -> list[e.Event]:
    return [
        e.Registered(
            creator_id=command.creator_id,
            media_type=command.media_type,
            input_key=original_key(command.creator_id, command.media_id, command.file_name),
            file_name=command.file_name,
            content_type=command.content_type,
            declared_size=command.declared_size,
            upload_deadline=command.upload_deadline,
            commitment=None,
        )
    ]


def _complete_upload(command: c.CompleteUpload, item: MediaItem) -> list[e.Event]:
    if item.etag == command.etag:
        return []
    if item.status is not Status.UPLOADING:
        raise InvalidTransition(item.status, "completing the upload")
    return [
        e.UploadCompleted(size=command.size, etag=command.etag),
        _request(command.media_id, 1, e.Trigger.UPLOAD, command.transcoding_deadline),
    ]


def _request(
    media_id: UUID, attempt: int, trigger: e.Trigger, deadline: datetime
) -> e.TranscodingRequested:
    return e.TranscodingRequested(
        attempt=attempt,
        attempt_id=attempt_id(media_id, attempt),
        trigger=trigger,
        deadline=deadline,
    )


def _expire_upload(now: datetime, item: MediaItem) -> list[e.Event]:
    if item.status is not Status.UPLOADING or item.deadline is None or now < item.deadline:
        return []
    return [e.UploadExpired(deadline=item.deadline)]


def _abandon_upload(now: datetime, item: MediaItem) -> list[e.Event]:
    if item.status is Status.FAILED and item.etag is None:
        return []
    if item.status is not Status.UPLOADING:
        raise InvalidTransition(item.status, "giving up the upload")
    # The lifecycle has no other end of an upload: its time is over from now on, and the event's
    # actor says whose wish that was.
    return [e.UploadExpired(deadline=now)]


def _record_submission(command: c.RecordSubmission, item: MediaItem) -> list[e.Event]:
    if not item.runs(command.attempt) or command.runpod_job_id in item.job_ids:
        return []
    if len(item.job_ids) >= MAX_JOBS_PER_ATTEMPT:
        raise InvalidTransition(item.status, "a third job for the same attempt")
    return [e.TranscodingSubmitted(attempt=command.attempt, runpod_job_id=command.runpod_job_id)]


def _record_start(command: c.RecordStart, item: MediaItem) -> list[e.Event]:
    if not item.runs(command.attempt) or item.started:
        return []
    return [
        e.TranscodingStarted(
            attempt=command.attempt,
            runpod_job_id=command.runpod_job_id,
            worker=command.worker,
            encoder=command.encoder,
        )
    ]


def _record_completion(command: c.RecordCompletion, item: MediaItem) -> list[e.Event]:
    if not item.runs(command.attempt):
        return []
    return [e.TranscodingCompleted(attempt=command.attempt, **command.outputs._asdict())]


def _record_failure(command: c.RecordFailure, item: MediaItem) -> list[e.Event]:
    if not item.runs(command.attempt):
        return []
    return [
        e.TranscodingFailed(
            attempt=command.attempt,
            runpod_job_id=command.runpod_job_id,
            error_code=command.error_code,
            message=_printable(command.message),
            retryable=advice(command.error_code).retryable,
            stderr_tail=_printable(command.stderr_tail),
            commitment=None,
        )
    ]


def _printable(text: str) -> str:
    # JSON in the database cannot hold NUL, and terminals obey the others.
    return "".join(char for char in text if char.isprintable() or char in "\n\t")


def _retry(command: c.RetryTranscoding, item: MediaItem) -> list[e.Event]:
    if item.attempt > command.failed_attempt:  # Pressed twice at once: the other press was faster.
        return []
    if item.status is Status.TRANSCODING:
        raise TranscodingRunning
    if item.status is not Status.FAILED:
        raise RetryRefused(
            item.status, f"Only a failed item can be retried; this one is {item.status}."
        )
    if item.etag is None:
        raise RetryRefused(item.status, "The upload never arrived. Register the file anew.")
    if item.attempt >= MAX_ATTEMPTS:
        raise RetryRefused(
            item.status,
            f"All {MAX_ATTEMPTS} attempts are used up. Register the file anew.",
        )
    return [
        e.RetryRequested(actor=command.actor),
        _request(command.media_id, item.attempt + 1, e.Trigger.RETRY, command.transcoding_deadline),
    ]


def _erase(command: c.EraseMedia, item: MediaItem) -> list[e.Event]:
    if item.status is Status.ERASED:
        return []
    return [
        e.Erased(actor=command.actor, reason=command.reason, commitments=item.commitments),
    ]
