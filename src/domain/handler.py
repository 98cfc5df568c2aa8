"""load → fold → decide → append, with a retry on conflict: once, for all commands."""

from typing import NamedTuple
from uuid import UUID

from domain.commands import Command, RegisterMedia
from domain.errors import AccessDenied, ConcurrencyConflict
from domain.events import Context, StoredEvent
from domain.media import MediaItem, decide, evolve, fold
from domain.ports import EventStore

MAX_TRIES = 8


class Handled(NamedTuple):
    """The item after the command, and what was appended (nothing, for a repeated command)."""

    item: MediaItem
    appended: list[StoredEvent]


async def handle(store: EventStore, media_id: UUID, command: Command, context: Context) -> Handled:
    """Decide `command` on the stream's present state and append what it causes.

    A lost race is decided anew on the newer state, at most `MAX_TRIES` times; then
    `ConcurrencyConflict`. `AccessDenied` when the stream does not exist.
    """
    for _ in range(MAX_TRIES - 1):
        try:
            return await _once(store, media_id, command, context)
        except ConcurrencyConflict:
            continue
    return await _once(store, media_id, command, context)


async def _once(store: EventStore, media_id: UUID, command: Command, context: Context) -> Handled:
    item = fold(stored.event for stored in await store.load(media_id))
    if item is None and not isinstance(command, RegisterMedia):
        raise AccessDenied(media_id)
    decided = decide(command, item)
    expected_version = 0 if item is None else item.version
    for event in decided:
        item = evolve(item, event)
    if item is None:
        raise AccessDenied(media_id)
    if not decided:
        return Handled(item, [])
    appended = await store.append(media_id, expected_version, decided, item, context)
    return Handled(item, appended)
