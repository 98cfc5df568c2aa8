"""Killing one process at one point after the other, and seeing that nothing is lost by it."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from tests.kill.world import ROLES, Parts, Role, World, world

LIFE_LIMIT_S = 200.0
TRIES = 3
"""For a point that the lives did not come to: what one does can keep another from its way."""


class Target(NamedTuple):
    """A process and the point where it dies."""

    role: Role
    point: str

    @property
    def first(self) -> "Target":
        """The same point, the first time it is reached."""
        return self._replace(point=self.point.partition(":")[0])


class Struck(NamedTuple):
    """What came of a kill."""

    target: Target
    killed: bool
    """False: no life led there."""
    recovered_s: float
    """From the process's new start until everything had come to rest."""
    again: int
    """Items whose calls were used up by it, and whose creator pressed retry."""
    trouble: str | None = None


DEEP = (
    "sql.append",
    "sql.append_committing",
    "sql.receive",
    "sql.set_verdict",
    "runpod.run.after",
    "sql.seal",
)
"""Where another time at the same point is about something else: two events, two messages."""
DEEPER = (2, 3, 5)


def targets(role: Role, reached: Counter[str]) -> Iterator[Target]:
    """Every point of a process; some of them not the first time alone."""
    for point, times in sorted(reached.items()):
        yield Target(role, point)
        for number in DEEPER if point.endswith(DEEP) else ():
            if number <= times:
                yield Target(role, f"{point}:{number}")


async def rehearse(parts: Parts) -> dict[Role, Counter[str]]:
    """All lives, unharmed: how often each process reached each of its points."""
    async with world(parts) as made:
        files = {role: parts.folder / f"points-{role}-{made.port}" for role in ROLES}
        for role in ROLES:
            await made.start(role, record=files[role])
        await made.serving()
        async with asyncio.timeout(LIFE_LIMIT_S):
            await made.live()
            await made.check()
        assert not made.creator.again
    return {role: Counter(path.read_text("utf-8").split()) for role, path in files.items()}


async def strike(parts: Parts, target: Target) -> Struck:
    """All lives, while one process dies at one point and is started again."""
    try:
        async with world(parts) as made, asyncio.timeout(LIFE_LIMIT_S):
            return await _strike(made, target)
    except Exception as error:  # noqa: BLE001 - whatever went wrong is this point's trouble
        return Struck(target, True, 0.0, 0, told(error))


def told(error: BaseException) -> str:
    """What went wrong, in a line."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(map(told, error.exceptions))
    return f"{type(error).__name__}: {error}"


async def _strike(made: World, target: Target) -> Struck:
    other: Role = "work" if target.role == "api" else "api"
    await made.start(other)
    victim = await made.start(target.role, kill_at=target.point)
    living = asyncio.create_task(made.live())
    racing: set[asyncio.Future[Any]] = {living, victim.ended}
    try:
        await asyncio.wait(racing, return_when=asyncio.FIRST_COMPLETED)
        if not victim.ended.done():
            await living
            return Struck(target, False, 0.0, 0)
        assert victim.ended.result() == -9, victim.told()
        await made.check_now()
        started = time.monotonic()
        await made.start(target.role)
        await living
        recovered_s = time.monotonic() - started
        await made.check()
    finally:
        living.cancel()
        await asyncio.gather(living, return_exceptions=True)
    return Struck(target, True, recovered_s, len(made.creator.again))


async def sweep(
    parts: Parts,
    chosen: Iterable[Target],
    at_once: int,
    tell: Callable[[Struck], None] = lambda _: None,
) -> list[Struck]:
    """Strike at all that is `chosen`, some at once, each in a world of its own."""
    places = asyncio.Semaphore(at_once)

    async def one(target: Target) -> Struck:
        async with places:
            for _ in range(TRIES):
                struck = await strike(parts, target)
                if struck.killed or target != target.first:
                    break
        tell(struck)
        return struck

    return await asyncio.gather(*map(one, chosen))
