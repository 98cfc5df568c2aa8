"""Planted bugs prove the checker: each is noticed in its story, or within some hundred seeds."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.simulate.journal import all_ears
from tests.simulate.mutations import MUTATIONS, Mutation, planted
from tests.simulate.stories import tell
from tests.simulate.world import Broken, simulate

MOST_SEEDS = 400


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_planted_bug_is_noticed(mutation: Mutation) -> None:
    noticed = set[str]()
    with all_ears(), planted(mutation):
        for schedule in _schedules(mutation):
            noticed |= _broken(schedule)
            if noticed & mutation.broken:
                return
    pytest.fail(f"{mutation.name}: noticed by {noticed}, not by {set(mutation.broken)}")


def _schedules(mutation: Mutation) -> Iterator[Callable[[], object]]:
    if mutation.story:
        yield partial(tell, mutation.story)
    else:
        yield from (partial(simulate, mutation.first_seed + more) for more in range(MOST_SEEDS))


def test_there_are_bugs_of_many_kinds() -> None:
    assert len(MUTATIONS) >= 25
    noticed_by = frozenset[str]().union(*(mutation.broken for mutation in MUTATIONS))
    assert noticed_by >= {
        "I1",
        "I2",
        "I3",
        "I4",
        "I5",
        "I6",
        "I7",
        "I9",
        "I10",
        "convergence",
        "failure",
    }


def _broken(schedule: Callable[[], object]) -> set[str]:
    """The invariants that a schedule breaks."""
    try:
        schedule()
    except Broken as broken:
        return broken.invariants
    return set()
