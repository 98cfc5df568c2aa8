"""A row of `media_items`, as the verifier reads it and makes it anew."""

from datetime import datetime

from msgspec import Struct, convert


class Failure(Struct, gc=False, forbid_unknown_fields=True):
    """`transcoding_error`."""

    code: str
    message: str
    retryable: bool


class Row(Struct, gc=False, forbid_unknown_fields=True):
    """A row of `media_items`. None is what no event has set."""

    id: str
    version: int
    created_at: datetime | None
    updated_at: datetime | None
    status: str | None
    creator_id: str | None
    media_type: str | None
    file_name: str | None
    content_type: str | None
    declared_size: int | None
    r2_key: str | None
    deadline_at: datetime | None
    size: int | None
    etag: str | None
    hls_master_playlist_key: str | None
    hls_preview_key: str | None
    thumbnail_key: str | None
    waveform_key: str | None
    duration_seconds: float | None
    width: int | None
    height: int | None
    transcoding_error: Failure | None
    transcoding_attempts: int
    runpod_job_id: str | None
    encoder: str | None
    encoder_note: str | None


EMPTY = convert(
    dict.fromkeys(Row.__struct_fields__) | {"id": "", "version": 0, "transcoding_attempts": 0}, Row
)
"""Before the first event."""
