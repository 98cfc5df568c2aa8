"""Reading an item's present state before acting on it."""

from uuid import UUID, uuid4

from domain.errors import AccessDenied
from domain.events import Context
from domain.media import MediaItem, fold
from domain.ports import EventStore


async def load_item(store: EventStore, media_id: UUID, owner: str | None = None) -> MediaItem:
    """The item folded from its stream; `AccessDenied` where there is none, or none of `owner`."""
    item = fold(stored.event for stored in await store.load(media_id, owner))
    if item is None:
        raise AccessDenied(media_id)
    return item


async def load_owned(store: EventStore, media_id: UUID, creator_id: str) -> MediaItem:
    """The item, if it is this creator's; `AccessDenied` for missing and foreign ones alike."""
    item = await load_item(store, media_id, creator_id)
    if item.creator_id != creator_id:
        raise AccessDenied(media_id)
    return item


def system(part: str) -> Context:
    """The context of what the service does by itself."""
    return Context(actor=f"system:{part}", correlation_id=uuid4())
