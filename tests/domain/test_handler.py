"""load → fold → decide → append, and what happens when somebody else appends first."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import pytest

from domain.commands import Command
from domain.errors import AccessDenied, ConcurrencyConflict, RetryRefused
from domain.events import Context, Event, StoredEvent
from domain.handler import MAX_TRIES, handle
from domain.lifecycle import Status
from domain.media import MediaItem
from tests import factories as f
from tests.fakes import MemoryDatabase, MemoryEventStore


@dataclass
class RacedEventStore:
    """A store on which somebody else appends between our reading and our writing."""

    inner: MemoryEventStore
    rivals: list[Command] = field(default_factory=list)
    appends: int = 0

    async def load(self, media_id: UUID, owner: str | None = None) -> list[StoredEvent]:
        return await self.inner.load(media_id, owner)

    async def append(
        self,
        media_id: UUID,
        expected_version: int,
        events: Sequence[Event],
        item: MediaItem,
        context: Context,
        *,
        command_id: UUID,
    ) -> list[StoredEvent]:
        self.appends += 1
        if self.rivals:
            await handle(self.inner, media_id, self.rivals.pop(0), f.context("rival"))
        return await self.inner.append(
            media_id, expected_version, events, item, context, command_id=command_id
        )

    async def now(self) -> datetime:
        return await self.inner.now()


class LaggingEventStore(RacedEventStore):
    """A store that never shows the newest event."""

    async def load(self, media_id: UUID, owner: str | None = None) -> list[StoredEvent]:
        return (await self.inner.load(media_id, owner))[:-1]


async def with_history(*commands: Command) -> MemoryEventStore:
    store = MemoryEventStore(MemoryDatabase())
    for command in commands:
        await handle(store, f.MEDIA_ID, command, f.context())
    return store


async def test_a_command_appends_what_it_causes_in_the_callers_context() -> None:
    store = await with_history()
    handled = await handle(store, f.MEDIA_ID, f.register_media(), f.context("creator:someone"))
    (stored,) = handled.appended
    assert stored.personal is not None
    assert stored.event == f.sealed(f.registered(), stored.personal.salt).event
    assert handled.appended[0].context.actor == "creator:someone"
    assert handled.item.status is Status.UPLOADING
    assert await store.load(f.MEDIA_ID) == handled.appended


async def test_two_events_of_one_command_are_one_append() -> None:
    store = await with_history(f.register_media())
    raced = RacedEventStore(store)
    handled = await handle(raced, f.MEDIA_ID, f.complete_upload(), f.context())
    assert [stored.version for stored in handled.appended] == [2, 3]
    assert raced.appends == 1


async def test_a_repeated_command_appends_nothing_and_answers_the_same_item() -> None:
    store = RacedEventStore(await with_history(f.register_media(), f.complete_upload()))
    handled = await handle(store, f.MEDIA_ID, f.complete_upload(), f.context())
    assert handled.appended == []
    assert handled.item.version == 3
    assert store.appends == 0


async def test_a_command_for_an_item_that_does_not_exist_is_denied() -> None:
    store = await with_history()
    with pytest.raises(AccessDenied) as refusal:
        await handle(store, f.MEDIA_ID, f.complete_upload(), f.context())
    assert refusal.value.media_id == f.MEDIA_ID


async def test_f20_a_lost_race_is_decided_anew_on_the_newer_state() -> None:
    inner = await with_history(f.register_media(), f.complete_upload())
    store = RacedEventStore(inner, [f.record_submission(), f.record_start()])
    handled = await handle(store, f.MEDIA_ID, f.record_completion(), f.context())
    assert store.appends == 3
    assert handled.item.status is Status.READY
    assert handled.item.started
    assert handled.item.version == 6


async def test_a_race_lost_to_the_same_command_changes_nothing_more() -> None:
    inner = await with_history(f.register_media())
    store = RacedEventStore(inner, [f.complete_upload()])
    handled = await handle(store, f.MEDIA_ID, f.complete_upload(), f.context())
    assert handled.appended == []
    assert handled.item.version == len(await inner.load(f.MEDIA_ID)) == 3


async def test_a_race_can_end_in_a_refusal() -> None:
    inner = await with_history(
        f.register_media(), f.complete_upload(), f.record_failure(1), f.retry_transcoding()
    )
    store = RacedEventStore(inner, [f.record_failure(2)])
    await handle(store, f.MEDIA_ID, f.record_start(2), f.context())
    with pytest.raises(RetryRefused):
        await handle(store, f.MEDIA_ID, f.retry_transcoding(2), f.context())


async def test_races_lost_without_end_are_given_up() -> None:
    inner = await with_history(f.register_media(), f.complete_upload(), f.record_submission())
    store = LaggingEventStore(inner)
    with pytest.raises(ConcurrencyConflict) as conflict:
        await handle(store, f.MEDIA_ID, f.record_start(), f.context())
    assert store.appends == MAX_TRIES
    assert conflict.value.stream_id == f.MEDIA_ID
    assert len(await inner.load(f.MEDIA_ID)) == 4
