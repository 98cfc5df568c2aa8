"""An event loop whose time passes only when there is nothing left to do at the moment."""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from itertools import count
from typing import Any, Protocol

MOST_TURNS = 100_000
"""Callbacks at one moment. Honest work needs some hundred."""


class Deadlock(Exception):
    """Nothing is ready and no timer runs: the schedule would stand still for ever."""


class Stoppable(Protocol):
    """A process that may be stopped. What it should have done meanwhile is kept in `held`."""

    held: "list[Handle] | None"


RUNS_IN: ContextVar[Stoppable] = ContextVar("RUNS_IN")
"""The process that a callback belongs to."""


class Handle:
    """A callback that is to run; asyncio's own ones are slow."""

    __slots__ = ("args", "callback", "context", "gone", "when_s")

    def __init__(
        self, callback: Callable[..., Any], args: tuple[Any, ...], context: Context | None
    ) -> None:
        self.callback, self.args = callback, args
        self.context = context if context is not None else copy_context()
        self.gone, self.when_s = False, 0.0

    def cancel(self) -> None:
        self.gone = True

    def cancelled(self) -> bool:
        return self.gone

    def when(self) -> float:
        return self.when_s


class VirtualLoop(asyncio.BaseEventLoop):
    """Timers fire in the order of their times, ties in the order they were set. No I/O, no threads.

    A day takes as long as what happens in it. What a stopped process should do is held back until
    it goes on, timers included, in the order in which it fell due.
    """

    running: "VirtualLoop | None" = None
    """The one that runs now. (asyncio asks the system for the process's id to tell.)"""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self._turns = 0
        self._order = count()
        self._at_once: deque[Handle] = deque()
        self._later: list[tuple[float, int, Handle]] = []
        self._any_stopped = False
        self.set_exception_handler(lambda _loop, _context: None)

    def run_forever(self) -> None:
        """As any loop does; `now_s` tells its time meanwhile."""
        outer = VirtualLoop.running
        VirtualLoop.running = self
        try:
            super().run_forever()
        finally:
            VirtualLoop.running = outer

    def time(self) -> float:
        """Seconds since the beginning of the schedule."""
        return self.now_s

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> Any:
        handle = Handle(callback, args, context)
        self._at_once.append(handle)
        return handle

    def call_at(
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> Any:
        handle = Handle(callback, args, context)
        handle.when_s = when
        heapq.heappush(self._later, (when, next(self._order), handle))
        return handle

    def call_later(
        self, delay: float, callback: Any, *args: Any, context: Context | None = None
    ) -> Any:
        return self.call_at(self.now_s + delay, callback, *args, context=context)

    def stop_process(self, process: Stoppable) -> None:
        """Hold back everything that a process would do (SIGSTOP)."""
        self._any_stopped = True
        if process.held is None:
            process.held = []

    def continue_process(self, process: Stoppable) -> None:
        """Let it go on as if nothing had happened."""
        self._at_once.extend(process.held or ())
        process.held = None

    def _run_once(self) -> None:
        ready = self._at_once
        if not ready:
            self._jump()
        while ready:
            handle = ready.popleft()
            if handle.gone:
                continue
            if self._any_stopped and _held_back(handle):
                continue
            handle.context.run(handle.callback, *handle.args)
            if self._stopping:
                return
            self._turns += 1
            if self._turns > MOST_TURNS:
                raise Deadlock("something spins without letting time pass")

    def _jump(self) -> None:
        """To the next timer."""
        later = self._later
        while later and later[0][2].gone:
            heapq.heappop(later)
        if not later:
            raise Deadlock("nothing is left that could happen")
        if later[0][0] > self.now_s:
            self.now_s, self._turns = later[0][0], 0
        while later and later[0][0] <= self.now_s:
            self._at_once.append(heapq.heappop(later)[2])

    def close(self) -> None:
        """End every task that is left, then close."""
        left, self._turns = asyncio.all_tasks(self), 0
        for task in left:
            task.cancel()
        if left and not self.is_closed():
            self.run_until_complete(asyncio.wait(left, timeout=600))
        super().close()

    def run_in_executor(self, _executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        """At once, in the loop's own thread."""
        future = self.create_future()
        future.set_result(func(*args))
        return future

    def _process_events(self, event_list: list[Any]) -> None: ...

    def _write_to_self(self) -> None: ...


def _held_back(handle: Handle) -> bool:
    process = handle.context.get(RUNS_IN)
    if process is None or process.held is None:
        return False
    process.held.append(handle)
    return True
