"""The work every contender does: items that live from registration to `ready`."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from domain.events import Event
from domain.media import MediaItem, evolve
from tests.infra.lives import READY

EVENTS_PER_LIFE = sum(len(events) for events in READY)
APPENDS_PER_LIFE = len(READY)


@dataclass(frozen=True)
class Append:
    """One append: its events, the version they follow, and the item they make."""

    version: int
    events: tuple[Event, ...]
    item: MediaItem


def life(media_id: UUID) -> Iterator[Append]:
    """The appends of one item's life, in order. Its job has an id of its own."""
    item: MediaItem | None = None
    for step in READY:
        version = item.version if item else 0
        events = tuple(_of_job(event, f"job-{media_id}") for event in step)
        for event in events:
            item = evolve(item, event)
        if item is None:
            raise ValueError("a life begins with an event")
        yield Append(version, events, item)


def in_clear(event: Event) -> dict[str, object]:
    """All that an event says, for those that commit to nothing."""
    return event.model_dump(mode="json", by_alias=True, exclude={"type", "commitment"})


def _of_job(event: Event, job_id: str) -> Event:
    if hasattr(event, "runpod_job_id"):
        return event.model_copy(update={"runpod_job_id": job_id})
    return event
