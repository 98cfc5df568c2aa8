"""load → fold → decide → append, again after a conflict or a broken connection: once, for all."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID, uuid4, uuid5

from domain.commands import Command, RegisterMedia
from domain.errors import AccessDenied, ConcurrencyConflict, StoreInterrupted
from domain.events import Context, Event, StoredEvent
from domain.media import MediaItem, decide, evolve, fold
from domain.ports import EventStore

MAX_TRIES = 8
MAX_INTERRUPTIONS = 2


class Handled(NamedTuple):
    """The item after the command, and what was appended (nothing, for a repeated command)."""

    item: MediaItem
    appended: list[StoredEvent]


def event_id(command_id: UUID, index: int) -> UUID:
    """The id of a command's event: the same when the command is sent again (RFC 9562, v5)."""
    return uuid5(command_id, str(index))


async def handle(
    store: EventStore,
    media_id: UUID,
    command: Command,
    context: Context,
    command_id: UUID | None = None,
) -> Handled:
    """Decide `command` on the stream's present state and append what it causes.

    A lost race is decided anew on the newer state, at most `MAX_TRIES` times; then
    `ConcurrencyConflict`. After a broken connection the command is sent again under the same id,
    and recognised if it arrived; then `StoreInterrupted`. `AccessDenied` without a stream.
    """
    chosen = command_id or uuid4()
    interruptions = 0
    for _ in range(MAX_TRIES - 1):
        try:
            return await _once(store, media_id, command, context, chosen)
        except ConcurrencyConflict:
            continue
        except StoreInterrupted:
            interruptions += 1
            if interruptions > MAX_INTERRUPTIONS:
                raise
    return await _once(store, media_id, command, context, chosen)


async def _once(
    store: EventStore, media_id: UUID, command: Command, context: Context, command_id: UUID
) -> Handled:
    history = await store.load(media_id)
    item = fold(stored.event for stored in history)
    if item is None and not isinstance(command, RegisterMedia):
        raise AccessDenied(media_id)
    done = _appended_by(command_id, history)
    if item is not None and done:
        return Handled(item, done)
    decided = decide(command, item)
    after = _evolved(item, decided)
    if not decided:
        return Handled(after, [])
    expected_version = 0 if item is None else item.version
    appended = await store.append(
        media_id, expected_version, decided, after, context, command_id=command_id
    )
    # As stored: events get their commitments there.
    return Handled(_evolved(item, [stored.event for stored in appended]), appended)


def _evolved(item: MediaItem | None, events: Sequence[Event]) -> MediaItem:
    for event in events:
        item = evolve(item, event)
    if item is None:
        raise ValueError("registering makes an item")
    return item


def _appended_by(command_id: UUID, history: list[StoredEvent]) -> list[StoredEvent]:
    own = {event_id(command_id, index) for index in range(len(history))}
    return [stored for stored in history if stored.event_id in own]
