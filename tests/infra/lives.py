"""Whole lives of the one item, cut into the appends that make them, and how an append is done."""

from collections.abc import Sequence
from uuid import UUID, uuid4

from domain.events import Erased, Event, StoredEvent
from domain.media import evolve, fold
from domain.ports import EventStore
from tests import factories as f

Life = tuple[tuple[Event, ...], ...]

REGISTERED: Life = ((f.registered(),),)
REQUESTED: Life = (*REGISTERED, (f.upload_completed(), f.transcoding_requested()))
SUBMITTED: Life = (*REQUESTED, (f.transcoding_submitted(),))
READY: Life = (*SUBMITTED, (f.transcoding_started(),), (f.transcoding_completed(),))
FAILED: Life = (*SUBMITTED, (f.transcoding_failed(),))
EXPIRED: Life = (*REGISTERED, (f.upload_expired(),))
RETRIED: Life = (
    *FAILED,
    (f.retry_requested(), f.transcoding_requested(2)),
    (f.transcoding_submitted(2),),
    (f.transcoding_completed(2, f.audio_outputs()),),
)
ERASED: Life = (*READY, (f.erased(),))
FAILED_AND_ERASED: Life = (*FAILED, (f.erased(),))
RESUBMITTED: Life = (*SUBMITTED, (f.transcoding_submitted(1, f.job_id(1, 2)),))

LIVES = {
    "ready": READY,
    "expired": EXPIRED,
    "failed": FAILED,
    "retried": RETRIED,
    "resubmitted": RESUBMITTED,
    "erased": ERASED,
    "failed and erased": FAILED_AND_ERASED,
}


async def append(
    store: EventStore, events: Sequence[Event], media_id: UUID = f.MEDIA_ID
) -> list[StoredEvent]:
    """Append `events` to what the stream holds, with the item that they make."""
    item = fold(stored.event for stored in await store.load(media_id))
    version = 0 if item is None else item.version
    if item is not None:
        events = [naming_what_goes(event, item.commitments) for event in events]
    for event in events:
        item = evolve(item, event)
    assert item is not None
    return await store.append(media_id, version, events, item, f.context(), command_id=uuid4())


def naming_what_goes(event: Event, commitments: tuple[str, ...]) -> Event:
    """An erasure with the commitments of its own item, whose salts are new each time."""
    if isinstance(event, Erased):
        return event.model_copy(update={"commitments": commitments})
    return event


async def live(store: EventStore, life: Life, media_id: UUID = f.MEDIA_ID) -> None:
    """Append a whole life."""
    for events in life:
        await append(store, events, media_id)
