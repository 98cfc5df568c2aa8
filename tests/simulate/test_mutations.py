"""Planted bugs prove the checker: each is noticed within some hundred schedules."""

import pytest

from tests.simulate.journal import all_ears
from tests.simulate.mutations import MUTATIONS, Mutation, planted
from tests.simulate.world import Broken, World, simulate

MOST_SEEDS = 400


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_planted_bug_is_noticed(mutation: Mutation) -> None:
    first = mutation.first_seed
    with all_ears(), planted(mutation):
        noticed = next(filter(None, map(_broken, range(first, first + MOST_SEEDS))), None)
    assert noticed is not None, f"nobody noticed: {mutation.name}"
    assert noticed & mutation.broken, f"noticed by {noticed}, not by {set(mutation.broken)}"


def test_there_are_bugs_of_many_kinds() -> None:
    assert len(MUTATIONS) >= 15
    noticed_by = frozenset[str]().union(*(mutation.broken for mutation in MUTATIONS))
    assert noticed_by >= {"I1", "I2", "I3", "I4", "I5", "I6", "I7", "I9", "convergence", "failure"}


def _broken(seed: int) -> set[str] | None:
    """The invariants that the schedule of `seed` breaks; None when it breaks none."""
    world = World(seed)
    try:
        simulate(seed, world)
    except Broken:
        return {invariant for invariant, _ in world.broken}
    return None
