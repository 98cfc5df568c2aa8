"""What the service's event stream says."""

from uuid import UUID

from pydantic import AwareDatetime

from codex_media.models import Media, Model


class Opened(Model):
    """An event stream begins after this place in the ledger."""

    seq: int


class MediaChange(Model):
    """An event of an item, and the item as it is now."""

    seq: int
    type: str
    version: int
    media: Media


class LiveProgress(Model):
    """How far a running attempt is; `seconds_left` is an estimate."""

    media_id: UUID
    version: int
    percent: float
    stage: str
    rung: str | None
    seconds_left: float | None
    queue_position: int | None
    updated_at: AwareDatetime
