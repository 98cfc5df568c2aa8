"""Many schedules, one after the other."""

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tests.simulate.journal import all_ears
from tests.simulate.world import Broken, simulate

ROWS = ("F02", "F05", "F09", "F10", "F11", "F13", "F14", "F15")
ROWS += ("F24", "F25", "F30", "F38", "F39", "F41")
"""What schedules must meet: the scenarios of the list that are simulated."""


class Outcome(NamedTuple):
    """What came of a range of seeds."""

    counts: Counter[str]
    failures: list[str]
    schedules: int
    met: Counter[str]
    """How many schedules met each of `ROWS`."""


def run_range(seeds: range) -> Outcome:
    """Run these schedules."""
    counts, failures, met = Counter[str](), [], Counter[str]()
    with all_ears(), _without_collecting():
        for seed in seeds:
            try:
                world = simulate(seed)
            except Broken as broken:
                failures.append(str(broken))
            else:
                counts.update(world.counts)
                counts["events"] += world.database.last_position
                met.update({what[:3] for what in world.counts}.intersection(ROWS))
                world.forget()
    return Outcome(counts, failures, len(seeds), met)


@contextmanager
def _without_collecting() -> Iterator[None]:
    """A schedule makes little garbage, and looking for it costs a fifth of the time."""
    gc.disable()
    gc.freeze()  # What there is already would be looked at again and again.
    try:
        yield
    finally:
        gc.collect()
        gc.unfreeze()
        gc.enable()
