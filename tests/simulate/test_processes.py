"""Processes of a schedule: what a stop (SIGSTOP) and an end (`kill -9`) leave of what they do."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.simulate.faults import Line
from tests.simulate.processes import Host, Life, now_s
from tests.simulate.virtual_loop import VirtualLoop
from tests.simulate.world import World


def _run(what: Callable[[], Awaitable[None]]) -> None:
    loop = VirtualLoop()
    try:
        loop.run_until_complete(what())
    finally:
        loop.close()


def test_a_stopped_process_does_everything_later_in_the_order_in_which_it_fell_due() -> None:
    done: list[tuple[float, float]] = []

    async def tick(seconds: float) -> None:
        await asyncio.sleep(seconds)
        done.append((seconds, now_s()))

    async def story() -> None:
        life, other = Life(Host("stopped")), Life(Host("other"))
        for seconds in (1, 50, 20, 200):
            life.start(tick(seconds))
        other.start(tick(30))
        await asyncio.sleep(10)
        life.stop(90)
        await asyncio.sleep(300)

    _run(story)
    assert done == [(1, 1), (30, 30), (20, 100), (50, 100), (200, 200)]


def test_what_a_process_has_sent_lands_although_it_is_stopped_or_killed_by_then() -> None:
    landed: list[float] = []
    answered: list[float] = []
    world = World(1)
    line = Line(world, "bucket")

    async def send(life: Life) -> None:
        life.stop(100)
        world.weather.lands_after_s = 40.0
        await line.call(life, "put", lambda: landed.append(now_s()), OSError)
        answered.append(now_s())

    async def story() -> None:
        stopped, killed = Life(Host("stopped")), Life(Host("killed"))
        stopped.start(send(stopped))
        await asyncio.sleep(1)
        killed.start(send(killed))
        await asyncio.sleep(1)
        killed.end()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not killed.tasks
        await asyncio.sleep(200)

    _run(story)
    assert landed == [40, 41]
    assert answered == [100]
