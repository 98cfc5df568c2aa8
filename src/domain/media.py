"""One media item: what it may do next (`decide`), what an event makes of it (`evolve`)."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import reduce
from typing import assert_never
from uuid import UUID, uuid5

from domain import commands as c
from domain import events as e
from domain.errors import InvalidTransition, RetryRefused, TranscodingRunning
from domain.failure import ErrorCode, advice
from domain.keys import original_key
from domain.lifecycle import INITIAL, Status, next_status

MAX_ATTEMPTS = 2
"""One for the upload, one manual retry: a transcode that failed mostly fails again."""
MAX_JOBS_PER_ATTEMPT = 2
"""A job that RunPod lost is submitted again once within its attempt."""
JOB_ID = r"^[A-Za-z0-9_-]{1,100}$"
"""What a job's id looks like, whoever names it."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the item is `failed`."""

    code: ErrorCode
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class MediaItem:
    """The state folded from a stream. `version` counts its events."""

    status: Status
    version: int
    creator_id: str
    media_type: e.MediaType
    input_key: str
    file_name: str
    content_type: str
    declared_size: int
    deadline: datetime | None
    """When the present state ends by itself; None in final states."""
    size: int | None = None
    etag: str | None = None
    attempt: int = 0
    attempt_id: UUID | None = None
    job_ids: tuple[str, ...] = ()
    """Jobs accepted for the present attempt, oldest first."""
    started: bool = False
    outputs: e.TranscodingCompleted | None = None
    failure: Failure | None = None

    @property
    def runpod_job_id(self) -> str | None:
        """The job that is thought to run, or ran last."""
        return self.job_ids[-1] if self.job_ids else None

    def runs(self, attempt: int) -> bool:
        """Whether `attempt` is the one under way. A report about any other one is late."""
        return self.status is Status.TRANSCODING and self.attempt == attempt


def attempt_id(media_id: UUID, attempt: int) -> UUID:
    """The same id for the same attempt, whoever computes it (RFC 9562, version 5)."""
    return uuid5(media_id, f"attempt/{attempt}")


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


def evolve(item: MediaItem | None, event: e.Event) -> MediaItem:
    """The item after `event`. Asks no rule: history must fold even after the rules change."""
    if isinstance(event, e.Registered):
        return _born(event)
    if item is None:
        raise ValueError(f"a stream begins with {e.Registered.__name__}, not {event.type}")
    return replace(_apply(item, event), version=item.version + 1)


def _born(event: e.Registered) -> MediaItem:
    return MediaItem(
        status=INITIAL,
        version=1,
        creator_id=event.creator_id,
        media_type=event.media_type,
        input_key=event.input_key,
        file_name=event.file_name,
        content_type=event.content_type,
        declared_size=event.declared_size,
        deadline=event.upload_deadline,
    )


def _apply(item: MediaItem, event: e.Event) -> MediaItem:  # noqa: PLR0911 - one line an event
    match event:
        case e.UploadCompleted(size=size, etag=etag):
            return replace(item, status=Status.UPLOADED, size=size, etag=etag)
        case e.UploadExpired():
            code = ErrorCode.UPLOAD_EXPIRED
            expired = Failure(code, "The file was not uploaded in time.", advice(code).retryable)
            return replace(item, status=Status.FAILED, failure=expired, deadline=None)
        case e.TranscodingRequested():
            return _begin_attempt(item, event)
        case e.TranscodingSubmitted(runpod_job_id=job_id):
            return replace(item, job_ids=(*item.job_ids, job_id))
        case e.TranscodingStarted():
            return replace(item, started=True)
        case e.TranscodingCompleted():
            return replace(item, status=Status.READY, outputs=event, deadline=None)
        case e.TranscodingFailed():
            failure = Failure(event.error_code, event.message, event.retryable)
            return replace(item, status=Status.FAILED, failure=failure, deadline=None)
        case e.RetryRequested():
            return replace(item, status=Status.UPLOADED, failure=None)
        case e.Registered():
            return item
        case _:
            assert_never(event)


def _begin_attempt(item: MediaItem, event: e.TranscodingRequested) -> MediaItem:
    return replace(
        item,
        status=Status.TRANSCODING,
        attempt=event.attempt,
        attempt_id=event.attempt_id,
        deadline=event.deadline,
        job_ids=(),
        started=False,
    )


def fold(events: Iterable[e.Event]) -> MediaItem | None:
    """The item as its history makes it; None for an empty history."""
    return reduce(evolve, events, None)
