"""Many schedules, one after the other."""

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tests.simulate.journal import all_ears
from tests.simulate.world import Broken, simulate


class Outcome(NamedTuple):
    """What came of a range of seeds."""

    counts: Counter[str]
    failures: list[str]
    schedules: int


def run_range(seeds: range) -> Outcome:
    """Run these schedules."""
    counts, failures = Counter[str](), []
    with all_ears(), _without_collecting():
        for seed in seeds:
            try:
                world = simulate(seed)
            except Broken as broken:
                failures.append(str(broken))
            else:
                counts.update(world.counts)
                counts["events"] += world.database.last_position
                world.forget()
    return Outcome(counts, failures, len(seeds))


@contextmanager
def _without_collecting() -> Iterator[None]:
    """A schedule makes little garbage, and looking for it costs a fifth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.collect()
