"""Hosts with clocks of their own, and processes on them that may end at any await."""

import asyncio
from collections.abc import Coroutine
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.simulate.virtual_loop import RUNS_IN, Handle, VirtualLoop

EPOCH = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
"""The moment at which every schedule begins."""
EPOCH_S = EPOCH.timestamp()


@dataclass(slots=True)
class Host:
    """A machine; `skew_s` is how far its clock is ahead."""

    name: str
    skew_s: float = 0.0

    def time(self) -> float:
        """Unix time as this machine has it."""
        return EPOCH_S + now_s() + self.skew_s


NOWHERE = Host("nowhere")
HERE: ContextVar[Host] = ContextVar("HERE", default=NOWHERE)
"""The machine that the running task runs on."""
OUTSIDE = Context()
"""Of what belongs to no process: messages on their way, time itself."""


def now_s() -> float:
    """Seconds since the schedule began; 0 outside of one."""
    loop = VirtualLoop.running
    return 0.0 if loop is None else loop.now_s


def moment(skew_s: float = 0.0) -> datetime:
    """The time of day on a clock that is `skew_s` ahead."""
    return EPOCH + timedelta(seconds=now_s() + skew_s)


@dataclass(eq=False, slots=True)
class Life:
    """One run of a process, from its start to its end. What it does not get done is lost."""

    host: Host
    about: tuple[str, int] | None = None
    """Media and attempt that a worker works on."""
    over: bool = False
    held: list[Handle] | None = None
    """While it is stopped: what it will do when it goes on."""
    tasks: dict[asyncio.Task[Any], None] = field(default_factory=dict)
    _context: Context | None = None

    def start(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Run `work` as part of the process."""
        if self._context is None:
            self._context = copy_context()
            self._context.run(HERE.set, self.host)
            self._context.run(RUNS_IN.set, self)
        task = asyncio.get_running_loop().create_task(work, context=self._context.copy())
        self.tasks[task] = None
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: "asyncio.Task[Any]") -> None:
        self.tasks.pop(task, None)
        if not task.cancelled():
            task.exception()

    def end(self) -> None:
        """`kill -9`: nothing of it has an effect any more, but what it has sent already."""
        self.over = True
        for task in list(self.tasks):
            task.cancel()
        self.go_on()

    def stop(self, for_s: float) -> None:
        """Stop the process as it is (SIGSTOP): its clock goes on, it does not."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        if self.held is None:
            loop.stop_process(self)
            loop.call_later(for_s, self.go_on, context=OUTSIDE)

    def go_on(self) -> None:
        """End of the stop (SIGCONT)."""
        if self.held is not None:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, VirtualLoop)
            loop.continue_process(self)
