"""What may befall a call from one part to another, and the one place where it does."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from tests.simulate.processes import OUTSIDE, Life

if TYPE_CHECKING:
    from tests.simulate.world import World

T = TypeVar("T")
AT_ONCE = 0.6
"""The share of calls that take no time."""


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
    """A fault that a test wants at one place: the next call of `what` over `line`, or a later."""

    line: str
    what: str
    fault: Fault | None
    """None: nothing befalls this call."""


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
        act: Callable[[], T],
        lost: Callable[[], Exception],
        refused: Callable[[], Exception] | None = None,
    ) -> T:
        """What `act` gives, unless something befalls it; an atom in any case.

        `lost` makes the error of somebody who gets no answer, `refused` that of somebody who finds
        nobody (as `lost` where there is no difference). A call that was sent arrives, whatever
        becomes of its sender meanwhile.
        """
        if life.over:
            raise asyncio.CancelledError
        chance, fault = self.world.chance, self._fault(what)
        if fault is None and not self.cut and life.held is None and chance.happens(AT_ONCE):
            return act()  # It saves time.
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        call = Call(life, fault, act, lost, refused or lost, answer)
        loop.call_later(self._way_s(life, fault), self._arrive, call, context=OUTSIDE)
        return await answer

    def _way_s(self, life: Life, fault: Fault | None) -> float:
        """How long a call is on its way; that of somebody who was stopped at it, maybe long."""
        chance = self.world.chance
        if life.held is not None:
            return self.world.weather.late_s()
        return chance.uniform(1, 20) if fault is Fault.SLOW else chance.uniform(0.001, 0.05)

    def _arrive(self, call: "Call[T]") -> None:
        chance, fault = self.world.chance, call.fault
        if self.cut:
            self.world.count(f"{self.name}: away")
            _answer_later(call, chance.uniform(0.01, 5), call.refused)
        elif fault is Fault.LOST_BEFORE:
            _answer_later(call, chance.uniform(0.05, 10), call.lost)
        elif fault is Fault.CRASH_BEFORE:
            self.world.crash(call.life, "at a call")
        else:
            self._act(call)

    def _act(self, call: "Call[T]") -> None:
        try:
            result = call.act()
        except Exception as error:  # noqa: BLE001 - the caller's
            _fail(call.answer, error)
            return
        if call.fault is Fault.CRASH_AFTER:
            self.world.crash(call.life, "at a call")
        elif call.fault is Fault.LOST_AFTER:
            _answer_later(call, self.world.chance.uniform(0.05, 10), call.lost)
        elif not call.answer.done():
            call.answer.set_result(result)

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


class Call(NamedTuple, Generic[T]):
    """A call that is on its way, and where its answer goes."""

    life: Life
    fault: Fault | None
    act: Callable[[], T]
    lost: Callable[[], Exception]
    refused: Callable[[], Exception]
    answer: "asyncio.Future[T]"


def _answer_later(call: Call[T], seconds: float, error: Callable[[], Exception]) -> None:
    loop = asyncio.get_running_loop()
    loop.call_later(seconds, lambda: _fail(call.answer, error()), context=OUTSIDE)


def _fail(answer: "asyncio.Future[T]", error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine gives that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("it waits for something")


READS = frozenset({"load", "now", "calls", "find", "open_jobs", "overdue", "keep"})


class Port:
    """A port in memory, behind a line: every method may fail as a call over a network does."""

    def __init__(
        self, line: Line, life: Life, target: Any, lost: Callable[[str], Exception]
    ) -> None:
        self._line, self._life, self._target, self._lost = line, life, target, lost

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)

        touches = name not in READS

        async def call(*args: Any, **given: Any) -> Any:
            def act() -> Any:
                result = at_once(method(*args, **given))
                if touches:
                    self._line.world.alarm.touch()
                    self._line.world.watch.changed()
                return result

            return await self._line.call(self._life, name, act, lambda: self._lost(name))

        setattr(self, name, call)
        return call
