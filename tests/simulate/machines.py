"""What befalls the machines that workers run on: they die, or stop and go on."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.simulate.processes import OUTSIDE, Life

if TYPE_CHECKING:
    from tests.simulate.runpod import Job
    from tests.simulate.world import World

DEATHS = ("failed", "requeued", "stuck", "forgotten")
LATE_S = ((0.001, 0.05), (0.05, 60.0), (60.0, 400.0))

AFTER_THE_ENCODE = 2
"""The number of a run's first output that is not sent early."""


@dataclass(slots=True)
class Machines:
    """How often what happens to a run."""

    world: "World"
    machine_dies: float = 0.0
    machine_freezes: float = 0.0
    runs_twice: float = 0.0
    next_stop: tuple[float, float] | None = None
    lands_after_s: float | None = None
    healed: bool = False

    def after_a_death(self) -> str:
        """What RunPod makes of a job whose machine died."""
        return self.world.chance.choice(DEATHS)

    def over_a_run(self, job: "Job", life: Life) -> None:
        """What befalls a job that has just begun on a machine."""
        chance = self.world.chance
        if self.healed:
            return
        if chance.happens(self.machine_dies):
            self._in(chance.uniform(0.1, 60), lambda: self._kill(life))
        if chance.happens(self.machine_freezes):
            self._in(chance.uniform(0.1, 60), lambda: self._stop(life, chance.uniform(10, 300)))
        if chance.happens(self.runs_twice) and len(job.runs) == 1:
            self._in(chance.uniform(0, 30), lambda: self._again(job))

    def over_an_upload(self, life: Life, number: int) -> None:
        """What befalls a run as it sends its first output, and the first after its encode."""
        chance = self.world.chance
        if number > AFTER_THE_ENCODE:
            return
        if self.next_stop is not None and number == AFTER_THE_ENCODE:
            stopped_s, self.lands_after_s = self.next_stop
            self.next_stop = None
            self._stop(life, stopped_s)
        elif chance.happens(self.machine_freezes / 2):
            self._stop(life, chance.uniform(10, 300))
            self._give_to_another(life)
        elif chance.happens(self.machine_dies / 2):
            self._kill(life)

    def stop_at_upload(self, stopped_s: float, lands_after_s: float) -> None:
        """Stop the next run that uploads, as it sends the first PUT after its encode.

        That lands later.
        """
        self.next_stop = stopped_s, lands_after_s

    def _again(self, job: "Job") -> None:
        if job.status == "IN_PROGRESS":
            self.world.count("F17: one job on two machines")
            self.world.runpod.begin(job)

    def _kill(self, life: Life) -> None:
        if life.tasks and not life.over:
            self.world.count("F16: a machine died")
            life.end()

    def _stop(self, life: Life, for_s: float) -> None:
        if life.tasks and not life.over and life.held is None:
            self.world.count("machine: stopped")
            if life.about:
                self.world.excuse(*life.about, "stopped")
            self.world.note("machine", f"{life.host.name} is stopped for {for_s:.0f} s")
            life.stop(for_s)
            asyncio.get_running_loop().call_later(
                for_s, self.world.count, "machine: went on", context=OUTSIDE
            )

    def _give_to_another(self, life: Life) -> None:
        """RunPod may take a machine that is stopped for dead, and run its job on another."""
        for job in self.world.runpod.jobs.values():
            if life in job.runs and self.world.chance.happens(0.6):
                self._in(self.world.chance.uniform(30, 120), partial(self._again, job))

    def late_s(self) -> float:
        """How long a call is on its way whose sender was stopped right after it."""
        if self.lands_after_s is not None:
            lands_s, self.lands_after_s = self.lands_after_s, None
            return lands_s
        return self.world.chance.uniform(*self.world.chance.choice(LATE_S))

    def _in(self, seconds: float, what: Callable[[], Any]) -> None:
        asyncio.get_running_loop().call_later(seconds, what)
