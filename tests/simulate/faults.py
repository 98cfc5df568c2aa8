"""What may befall a call from one part to another, and the one place where it does."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from tests.simulate.processes import Life, now_s

if TYPE_CHECKING:
    from tests.simulate.world import World

T = TypeVar("T")


class Fault(StrEnum):
    """How a call goes wrong."""

    LOST_BEFORE = "lost before"
    """The request is lost: no effect, and an error."""
    LOST_AFTER = "lost after"
    """The answer is lost: the effect, and an error."""
    CRASH_BEFORE = "crash before"
    CRASH_AFTER = "crash after"
    SLOW = "slow"


class Scripted(NamedTuple):
    """A fault that a test wants at one place: the next call of `what` over `line`."""

    line: str
    what: str
    fault: Fault


@dataclass(slots=True)
class Line:
    """The way to the database, the bucket or RunPod. Nothing passes while it is `cut`."""

    world: "World"
    name: str
    cut: bool = False
    rates: dict[Fault, float] = field(default_factory=dict)

    async def call(
        self,
        life: Life,
        what: str,
        act: Callable[[], Awaitable[T]],
        lost: Callable[[], Exception],
        refused: Callable[[], Exception] | None = None,
    ) -> T:
        """What `act` gives, unless something befalls it; an atom in any case.

        `lost` makes the error of somebody who gets no answer, `refused` that of somebody who finds
        nobody (as `lost` where there is no difference).
        """
        chance = self.world.chance
        await life.go_on()
        fault = self._fault(what)
        if fault is not None or chance.happens(0.6):  # At once, now and then: it saves time.
            slow = fault is Fault.SLOW
            await asyncio.sleep(chance.uniform(1, 20) if slow else chance.uniform(0.001, 0.05))
            await life.go_on()
        if self.cut:
            self.world.count(f"{self.name}: away")
            await asyncio.sleep(chance.uniform(0.01, 5))
            await life.go_on()
            raise (refused or lost)()
        if fault is Fault.LOST_BEFORE:
            await self._patience(life)
            raise lost()
        if fault is Fault.CRASH_BEFORE:
            self._crash(life)
        result = await act()
        if fault is Fault.CRASH_AFTER:
            self._crash(life)
        if fault is Fault.LOST_AFTER:
            await self._patience(life)
            raise lost()
        return result

    def _fault(self, what: str) -> Fault | None:
        fault = self.world.scripted_fault(self.name, what)
        if fault is None and self.rates:
            drawn = self.world.chance.random()
            for kind, rate in self.rates.items():
                drawn -= rate
                if drawn < 0:
                    fault = kind
                    break
        if fault is not None:
            self.world.count(f"{self.name}: {fault}")
            self.world.note("fault", f"{self.name}.{what}: {fault}")
        return fault

    async def _patience(self, life: Life) -> None:
        await asyncio.sleep(self.world.chance.uniform(0.05, 10))
        await life.go_on()

    def _crash(self, life: Life) -> None:
        self.world.crash(life, "at a call")
        raise asyncio.CancelledError


READS = frozenset({"load", "now", "calls", "find", "open_jobs", "overdue", "keep"})


class Port:
    """A port in memory, behind a line: every method may fail as a call over a network does."""

    def __init__(
        self, line: Line, life: Life, target: Any, lost: Callable[[str], Exception]
    ) -> None:
        self._line, self._life, self._target, self._lost = line, life, target, lost

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)

        async def call(*args: Any, **given: Any) -> Any:
            async def act() -> Any:
                result = await method(*args, **given)
                if name not in READS:
                    self._line.world.alarm.touch()
                return result

            return await self._line.call(self._life, name, act, lambda: self._lost(name))

        setattr(self, name, call)
        return call


def ago(moment_s: float) -> float:
    """Seconds since a moment of the schedule."""
    return now_s() - moment_s
