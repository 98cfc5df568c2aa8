"""What each event makes of an item (`evolve`), and what a whole history does (`fold`)."""

from collections.abc import Iterable
from dataclasses import replace
from functools import reduce
from typing import assert_never

from domain import events as e
from domain.failure import ErrorCode, advice
from domain.item import ERASED_TEXT, Failure, MediaItem
from domain.lifecycle import INITIAL, Status


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
        commitments=_commitments(event),
    )


def _commitments(event: e.CommittingEvent) -> tuple[str, ...]:
    return () if event.commitment is None else (event.commitment,)


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
            return _fail(item, event)
        case e.RetryRequested():
            return replace(item, status=Status.UPLOADED, failure=None)
        case e.Erased():
            return _emptied(item)
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


def _fail(item: MediaItem, event: e.TranscodingFailed) -> MediaItem:
    message = ERASED_TEXT if event.message is None else event.message
    return replace(
        item,
        status=Status.FAILED,
        failure=Failure(event.error_code, message, event.retryable),
        deadline=None,
        commitments=item.commitments + _commitments(event),
    )


def _emptied(item: MediaItem) -> MediaItem:
    """Without what led to the file, to what was made of it, or to what was said of either."""
    return replace(
        item,
        status=Status.ERASED,
        input_key=None,
        file_name=None,
        size=None,
        etag=None,
        outputs=None,
        failure=None,
        deadline=None,
    )


def fold(events: Iterable[e.Event]) -> MediaItem | None:
    """The item as its history makes it; None for an empty history."""
    return reduce(evolve, events, None)
