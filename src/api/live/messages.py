"""Messages of the event stream, as they go out.

Source: WHATWG HTML, 9.2, "Server-sent events".
"""

from datetime import datetime

from pydantic import AwareDatetime

from api.schemas import MediaOut, Schema, media_out
from infra.postgres.live import Change, RunningItem

RETRY_MS = 2_000
RETRY = f"retry: {RETRY_MS}\n\n".encode()
"""How long a client waits before it connects again."""
KEEP_ALIVE = b": keep-alive\n\n"
LEAST_PERCENT, LEAST_S = 2.0, 2.0
"""Of less nothing is foretold."""


class OpenOut(Schema):
    """The stream begins after this place in the ledger."""

    seq: int


class MediaChangeOut(Schema):
    """An event of an item, and the item as it is now."""

    seq: int
    type: str
    version: int
    media: MediaOut


class LiveProgressOut(Schema):
    """How far a running attempt is."""

    media_id: str
    version: int
    percent: float
    stage: str
    rung: str | None
    seconds_left: float | None
    """Estimated; None where nothing is known yet."""
    queue_position: int | None
    """Always None so far: RunPod tells nobody's place in its queue."""
    updated_at: AwareDatetime


def opened(seq: int) -> bytes:
    """The first message of a stream that resumes nothing."""
    return _message("open", OpenOut(seq=seq), seq)


def changed(change: Change) -> bytes:
    """An event of an own item."""
    out = MediaChangeOut(
        seq=change.seq, type=change.type, version=change.version, media=media_out(change.row)
    )
    return _message("media", out, change.seq)


def progressed(item: RunningItem) -> bytes:
    """Progress has no id: it is not resumed."""
    percent, stage, rung, updated_at = item.progress
    out = LiveProgressOut(
        media_id=str(item.media_id),
        version=item.version,
        percent=percent,
        stage=stage,
        rung=rung,
        seconds_left=seconds_left(percent, item.started_at, updated_at),
        queue_position=None,
        updated_at=updated_at,
    )
    return _message("progress", out)


def seconds_left(percent: float, started_at: datetime | None, now: datetime) -> float | None:
    """What is left if it goes on as it went so far; None where too little is known."""
    if started_at is None or percent < LEAST_PERCENT:
        return None
    elapsed_s = (now - started_at).total_seconds()
    if elapsed_s < LEAST_S:
        return None
    return round(elapsed_s * max(100.0 - percent, 0.0) / percent, 1)


def _message(event: str, data: Schema, seq: int | None = None) -> bytes:
    place = "" if seq is None else f"id: {seq}\n"
    # JSON has no line breaks of its own: one line of data is the whole.
    return f"event: {event}\n{place}data: {data.model_dump_json(by_alias=True)}\n\n".encode()
