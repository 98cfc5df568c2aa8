"""An event loop whose time passes only when there is nothing left to do at the moment."""

import asyncio
from collections.abc import Callable
from typing import Any

MOST_TURNS = 100_000
"""Turns of the loop at one moment. Honest work needs some hundred."""


class Deadlock(Exception):
    """Nothing is ready and no timer runs: the schedule would stand still for ever."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Timers fire in the order of their times, ties in the order they were set. No I/O, no threads.

    A day takes as long as what happens in it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._idle_turns = 0
        self._selector = self
        self._clock_resolution = 1e-6
        self.set_exception_handler(lambda _loop, _context: None)

    def time(self) -> float:
        """Seconds since the beginning of the schedule."""
        return self._now

    def select(self, timeout: float | None) -> list[Any]:
        """What a selector does, with nobody to wait for: jump to the next timer."""
        if timeout is None:
            raise Deadlock("nothing is left that could happen")
        self._idle_turns = 0 if timeout else self._idle_turns + 1
        if self._idle_turns > MOST_TURNS:
            raise Deadlock("something spins without letting time pass")
        self._now += timeout
        return []

    def close(self) -> None:
        """End every task that is left, then close."""
        left = asyncio.all_tasks(self)
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
