"""Calm worlds in which a story is told: one fault, and whatever comes of it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from uuid import UUID

from domain.failure import ErrorCode
from domain.lifecycle import Status
from domain.media import MediaItem
from gpu_worker.signature import sign
from infra.capability import Capability, mint
from tests.simulate.creators import Item
from tests.simulate.processes import EPOCH_S, now_s
from tests.simulate.service import Answer
from tests.simulate.world import World

Story = Callable[[World, Item], Awaitable[None]]


def tell(story: Story | None = None, prepare: Story | None = None, **of_item: object) -> World:
    """A calm world of one item in which `story` happens, and then whatever comes of it.

    `prepare` changes the world before anything runs. All invariants are checked at the end.
    """
    world = World(7)
    world.build(apis=1, workers=1)
    item = Item(world, "creator-0", 0, **of_item)  # type: ignore[arg-type]
    world.items.append(item)

    async def whole() -> None:
        if prepare:
            await prepare(world, item)
        for replica in world.replicas:
            replica.start()
        world.outside.start(item.live())
        if story:
            await story(world, item)
        await world.settle()

    world.simulate(whole)
    return world


def only(world: World) -> MediaItem:
    """The one item there is."""
    (media_id,) = world.database.streams
    item = world.item(media_id)
    assert item is not None
    return item


def failure(world: World) -> ErrorCode | None:
    """Why the one item failed."""
    why = only(world).failure
    return None if why is None else why.code


def verdicts(world: World) -> list[str | None]:
    """What became of the messages that came while the story was told."""
    inbox = world.database.inbox
    return [entry.verdict for (_, name), entry in inbox.items() if not name.startswith("again-")]


def types(world: World) -> list[str]:
    """The one item's history."""
    (stream,) = world.database.streams.values()
    return [stored.event.type.removeprefix("media.") for stored in stream]


async def until(holds: Callable[[], object], within_s: float = 4000) -> None:
    """Wait for something to be so."""
    end_s = now_s() + within_s
    while not holds():
        assert now_s() < end_s, "it did not happen"
        await asyncio.sleep(0.5)


def is_running(world: World) -> bool:
    """Whether a worker holds the attempt's claim."""
    return bool(world.watch.holders)


async def native(world: World, item: Item, attempt: int, said: dict[str, str]) -> Answer | None:
    """RunPod's webhook for the item, under a good token."""
    assert item.media_id is not None
    key = world.settings.capability_keys[0]
    token = mint(key, Capability("webhook", item.media_id, attempt, int(EPOCH_S) + 99_999))
    return await world.network.post("native", token, json.dumps(said).encode(), 10.0)


async def report(world: World, item: Item, attempt: int, status: str, job: str) -> Answer | None:
    """A worker's callback about the item, well signed."""
    assert item.media_id is not None
    body = world.attackers.body(item.media_id, attempt, status, job)
    stamp = int(EPOCH_S + now_s())
    headers = sign(world.worker_secret, f"msg_{status}{attempt}{job}", stamp, body)
    return await world.network.post("worker", headers, body, 10.0)


def calls_made(world: World) -> int:
    """The calls of /run that were counted for the one attempt."""
    (entry,) = world.database.calls.values()
    return entry.made


def only_id(world: World) -> UUID:
    """The one item's id."""
    (media_id,) = world.database.streams
    return media_id


def stop_and_run_again(stopped_s: float, lands_after_s: float) -> Story:
    """A run is stopped at its first PUT after the encode; 70 s on, its job runs again elsewhere.

    That PUT lands later. Conversions take a minute. Whenever it goes on, the outputs stand as soon
    as they are ready.
    """

    async def story(world: World, _item: Item) -> None:
        world.weather.conversions = (60.0, 60.0)
        world.weather.stop_at_upload(stopped_s, lands_after_s)
        await until(lambda: world.counts["machine: stopped"])
        (job,) = world.runpod.jobs.values()
        await asyncio.sleep(70)
        world.runpod.begin(job)
        await until(lambda: only(world).status is Status.READY)
        world.watch.outputs_stand(only_id(world))
        await asyncio.sleep(2 * stopped_s)
        world.watch.outputs_stand(only_id(world))

    return story
