"""The database in memory on the schedule's clock, and when something in it falls due."""

import asyncio
from copy import copy
from dataclasses import fields
from datetime import datetime
from typing import Any

from tests.fakes import MemoryDatabase
from tests.simulate.chance import Chance
from tests.simulate.processes import EPOCH, OUTSIDE, moment, now_s

LATER_S = 0.02
"""How much later than a change somebody may see it."""


class Database(MemoryDatabase):
    """A `MemoryDatabase` whose clock goes by itself."""

    @property
    def clock(self) -> datetime:
        return moment()

    @clock.setter
    def clock(self, _moment: datetime) -> None: ...

    def backup(self) -> dict[str, Any]:
        """All tables as they are now."""
        return {
            table.name: _copied(getattr(self, table.name))
            for table in fields(MemoryDatabase)
            if table.name != "clock"
        }

    def restore(self, backup: dict[str, Any]) -> None:
        """Be as at the time of `backup`."""
        for name, table in backup.items():
            setattr(self, name, _copied(table))


def _copied(table: Any) -> Any:
    if not isinstance(table, dict):
        return table
    return {
        key: list(value) if isinstance(value, list) else copy(value) for key, value in table.items()
    }


def _earliest(moments: list[datetime]) -> float | None:
    return (min(moments) - EPOCH).total_seconds() if moments else None


class Alarm:
    """Lets the loops of all replicas sleep until there is something for them.

    They look as if they polled, a little later than they would find it; only the looks in vain are
    left out, so that hours of waiting cost nothing.
    """

    def __init__(self, database: Database, chance: Chance) -> None:
        self._database = database
        self._chance = chance
        self._sleepers: dict[str, list[asyncio.Future[None]]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._touched = False

    async def wait(self, loop_name: str, idle_s: float) -> None:
        """Return when this loop may find something, after at least a part of `idle_s`."""
        await asyncio.sleep(self._chance.uniform(0.1, 1.0) * idle_s)
        sleeper = asyncio.get_running_loop().create_future()
        self._sleepers.setdefault(loop_name, []).append(sleeper)
        self._set(loop_name)
        await sleeper

    def touch(self) -> None:
        """Something may have changed."""
        if not self._touched:
            self._touched = True
            asyncio.get_running_loop().call_later(LATER_S, self._look, context=OUTSIDE)

    def _look(self) -> None:
        self._touched = False
        for loop_name, sleepers in self._sleepers.items():
            if sleepers:
                self._set(loop_name)

    def _set(self, loop_name: str) -> None:
        due_s, timer = self._due_s(loop_name), self._timers.get(loop_name)
        if due_s is None:
            return
        due_s = max(due_s, now_s())
        if timer is not None and not timer.cancelled() and now_s() < timer.when() <= due_s:
            return
        if timer is not None:
            timer.cancel()
        loop = asyncio.get_running_loop()
        self._timers[loop_name] = loop.call_at(due_s + 0.001, self._wake, loop_name)

    def _wake(self, loop_name: str) -> None:
        self._timers.pop(loop_name).cancel()
        sleepers = [one for one in self._sleepers.get(loop_name, []) if not one.done()]
        if len(sleepers) > 1 and self._chance.happens(0.5):  # Mostly one is first by far.
            sleepers = [self._chance.choice(sleepers)]
        for sleeper in sleepers:
            sleeper.set_result(None)
        left = [one for one in self._sleepers[loop_name] if not one.done()]
        self._sleepers[loop_name] = left
        if left:  # The one that was woken may die before it has taken anything.
            later = asyncio.get_running_loop().call_later(1.0, self._set, loop_name)
            self._timers[loop_name] = later

    def _due_s(self, loop_name: str) -> float | None:
        tables = self._database
        match loop_name:
            case "dispatcher":
                waiting = [] if tables.breakers else list(tables.outbox.values())
                return _earliest([entry.next_try_at for entry in waiting])
            case "inbox":
                return _earliest([e.next_try_at for e in tables.inbox.values() if e.next_try_at])
            case "reconciler":
                return _earliest([j.next_poll_at for j in tables.jobs.values() if not j.closed])
            case "prober":
                return _earliest(list(tables.breakers.values()))
            case "eraser":
                left = [e.next_try_at for e in tables.erasures.values() if not e.finished]
                return _earliest(left)
            case _:
                rows = tables.rows.values()
                return _earliest(
                    [datetime.fromisoformat(r["deadline_at"]) for r in rows if r["deadline_at"]]
                )
