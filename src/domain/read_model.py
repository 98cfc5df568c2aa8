"""The row of `media_items`: what status reads answer from, a pure function of the events."""

from collections.abc import Iterable
from datetime import datetime
from typing import TypedDict
from uuid import UUID

from domain.events import Event
from domain.media import MediaItem, fold


class MediaRow(TypedDict):
    """One row of the table `media_items`, without the database's own timestamps."""

    id: str
    creator_id: str
    status: str
    media_type: str
    file_name: str | None
    content_type: str
    declared_size: int
    size: int | None
    etag: str | None
    r2_key: str | None
    hls_master_playlist_key: str | None
    hls_preview_key: str | None
    thumbnail_key: str | None
    waveform_key: str | None
    duration_seconds: float | None
    width: int | None
    height: int | None
    transcoding_error: dict[str, object] | None
    transcoding_attempts: int
    runpod_job_id: str | None
    encoder: str | None
    encoder_note: str | None
    deadline_at: str | None
    version: int


def project(media_id: UUID, item: MediaItem) -> MediaRow:
    """The row for `item`."""
    out = item.outputs
    return {
        "id": str(media_id),
        "creator_id": item.creator_id,
        "status": item.status.value,
        "media_type": item.media_type.value,
        "file_name": item.file_name,
        "content_type": item.content_type,
        "declared_size": item.declared_size,
        "size": item.size,
        "etag": item.etag,
        "r2_key": item.input_key,
        "hls_master_playlist_key": out.hls_master_playlist_key if out else None,
        "hls_preview_key": out.hls_preview_key if out else None,
        "thumbnail_key": out.thumbnail_key if out else None,
        "waveform_key": out.waveform_key if out else None,
        "duration_seconds": out.duration_seconds if out else None,
        "width": out.width if out else None,
        "height": out.height if out else None,
        "transcoding_error": _error(item),
        "transcoding_attempts": item.attempt,
        "runpod_job_id": item.runpod_job_id,
        "encoder": out.encoder if out else None,
        "encoder_note": out.encoder_note if out else None,
        "deadline_at": _timestamp(item.deadline),
        "version": item.version,
    }


def project_history(media_id: UUID, history: Iterable[Event]) -> MediaRow | None:
    """The row a whole history makes; None for an empty one."""
    item = fold(history)
    return None if item is None else project(media_id, item)


def _error(item: MediaItem) -> dict[str, object] | None:
    if item.failure is None:
        return None
    return {
        "code": item.failure.code.value,
        "message": item.failure.message,
        "retryable": item.failure.retryable,
    }


def _timestamp(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
