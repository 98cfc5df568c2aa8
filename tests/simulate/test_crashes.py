"""A process that dies between two writes, and what the others make of what it leaves."""

import asyncio

import pytest

from domain.lifecycle import Status
from tests.simulate.creators import Item
from tests.simulate.faults import Fault, Scripted
from tests.simulate.processes import now_s
from tests.simulate.stories import is_running, only, tell, until
from tests.simulate.world import World

SOON_S = 10 * 60.0
"""Far from the deadline of an attempt, which is an hour."""


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
@pytest.mark.parametrize("writes", [["add"], ["close_for_another"], ["close_for_another"] * 2])
def test_a_crash_while_a_lost_job_is_replaced_costs_minutes_not_the_attempt(
    writes: list[str], fault: Fault
) -> None:
    """I6 I7: the attempt is sent again, once, whichever of the writes was the last."""

    async def lose_and_crash(world: World, _item: Item) -> None:
        world.network.no_webhooks = True
        await until(lambda: is_running(world))
        world.script += [Scripted("database", what, None) for what in writes[:-1]]
        world.script.append(Scripted("database", writes[-1], fault))
        (job,) = world.runpod.jobs.values()
        world.runpod.lose(job)
        lost_s = now_s()
        await until(lambda: len(world.watch.owners) == 2)
        assert now_s() - lost_s < SOON_S
        await asyncio.sleep(1)
        assert world.counts["crash of a process"] == 1

    world = tell(lose_and_crash)
    assert not world.script
    assert only(world).status is Status.READY
    assert sum(world.watch.queued.values()) == 2
