"""What processes weigh over time, and whether that is flat."""

import asyncio
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import psutil

EVERY_S = 10.0
MIB = 1024 * 1024
GROWTH_MIB, GROWTH_SHARE = 4.0, 0.04
"""Growth of the last third over the middle one that still counts as flat: the larger of both."""


@dataclass
class Weight:
    """Resident memory of one program, in MiB, with the seconds at which it was taken."""

    samples: list[tuple[float, float]] = field(default_factory=list)

    def third(self, number: int) -> float:
        """The median of the first, second or last third (0, 1, 2)."""
        size = len(self.samples) // 3
        part = self.samples[number * size : (number + 1) * size if number < 2 else None]
        return statistics.median(mib for _, mib in part)

    @property
    def growth_mib(self) -> float:
        """Of the last third over the middle one; the first is its warming up."""
        return self.third(2) - self.third(1)

    @property
    def flat(self) -> bool:
        """Whether it stays as it is."""
        return self.growth_mib <= max(GROWTH_MIB, GROWTH_SHARE * self.third(1))

    @property
    def slope_mib_an_hour(self) -> float:
        """Of the straight line through the last two thirds."""
        later = self.samples[len(self.samples) // 3 :]
        fit = statistics.linear_regression([at for at, _ in later], [mib for _, mib in later])
        return fit.slope * 3600


def weigh(pid: int) -> float:
    """Resident memory of a process and those below it, in MiB."""
    root = psutil.Process(pid)
    total = 0
    for process in [root, *root.children(recursive=True)]:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:  # ended meanwhile
            continue
    return total / MIB


async def watch(pids: Mapping[str, int], weights: Mapping[str, Weight]) -> None:
    """Weigh every ten seconds until cancelled."""
    started = time.monotonic()
    while True:
        for name, pid in pids.items():
            weights[name].samples.append((time.monotonic() - started, weigh(pid)))
        await asyncio.sleep(EVERY_S)
