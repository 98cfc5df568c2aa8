"""A worker's machine that stops for minutes with a request on the wire, and goes on (SIGSTOP)."""

import asyncio

import pytest

from domain.lifecycle import Status
from tests.simulate.creators import Item
from tests.simulate.processes import now_s
from tests.simulate.stories import only, tell, until
from tests.simulate.world import World

STOPPED_S = 200.0


@pytest.mark.parametrize("lands_after_s", [0.01, 30.0, 90.0, 150.0, 190.0, 250.0])
def test_what_a_stopped_run_had_sent_damages_nothing_that_another_run_writes(
    lands_after_s: float,
) -> None:
    """I3: whenever that one PUT lands, the manifest's objects are those that it describes."""

    async def stop_at_its_first_upload(world: World, _item: Item) -> None:
        world.weather.stop_at_upload(STOPPED_S, lands_after_s)
        await until(lambda: world.counts["machine: stopped"])
        stopped_s = now_s()
        (job,) = world.runpod.jobs.values()
        await asyncio.sleep(70)
        world.runpod.begin(job)
        await until(lambda: only(world).status is Status.READY)
        assert now_s() < stopped_s + STOPPED_S
        world.watch.outputs_stand(only_id(world))
        await asyncio.sleep(2 * STOPPED_S)
        world.watch.outputs_stand(only_id(world))

    world = tell(stop_at_its_first_upload)
    assert only(world).status is Status.READY
    assert world.counts["machine: went on"] == 1
    (history,) = world.watch.holders.values()
    assert len(history) == 2


def only_id(world: World):  # type: ignore[no-untyped-def]
    """The id of the one item there is."""
    (media_id,) = world.database.streams
    return media_id
