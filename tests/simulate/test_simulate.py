"""Schedules drawn from seeds: no invariant breaks, all converge, and a seed is its schedule."""

import os
import re
import subprocess
import sys

import pytest

import domain.handler
from tests.simulate.campaign import ROWS, run_range
from tests.simulate.mutations import MUTATIONS, planted
from tests.simulate.world import Broken, World, simulate

SCHEDULES = 400
A_TIME = 50


@pytest.mark.parametrize("first", range(0, SCHEDULES, A_TIME))
def test_no_schedule_breaks_an_invariant(first: int) -> None:
    outcome = run_range(range(first, first + A_TIME))
    assert not outcome.failures, "\n".join(outcome.failures)
    assert outcome.schedules == A_TIME


def test_schedules_meet_every_row_that_is_simulated() -> None:
    """F02 F05 F09 F10 F11 F13 F14 F15 F24 F25 F30 F38 F39 F41."""
    missing = set(ROWS)
    for first in range(0, SCHEDULES, A_TIME):
        missing -= set(run_range(range(first, first + A_TIME)).met)
        if not missing:
            return
    pytest.fail(f"no schedule met {sorted(missing)}")


@pytest.mark.parametrize("seed", [11, 42])
def test_a_seed_replays_its_schedule_anywhere(seed: int) -> None:
    here = [simulate(seed).journal.digest() for _ in range(2)]
    environ = {**os.environ, "PYTHONHASHSEED": "12345"}
    argv = [sys.executable, "-m", "tests.simulate", "--seed", str(seed)]
    there = subprocess.run(
        argv, env=environ, capture_output=True, text=True, timeout=120, check=True
    )
    assert {*here, there.stdout.split()[-1]} == {here[0]}


def test_different_seeds_are_different_schedules() -> None:
    digests = {simulate(seed).journal.digest() for seed in range(10)}
    assert len(digests) == 10


def test_a_failure_names_its_seed_and_how_to_replay_it() -> None:
    forgetful = next(one for one in MUTATIONS if "deadline" in one.name)
    with planted(forgetful):
        failures = run_range(range(20)).failures
        told = re.search(r"seed (\d+) breaks[\s\S]*--seed (\d+) --trace", failures[0])
        assert told is not None
        assert told[1] == told[2]
        with pytest.raises(Broken) as again:
            simulate(int(told[1]))
    assert str(again.value) == failures[0]


def test_what_is_replaced_for_a_schedule_is_put_back() -> None:
    before = domain.handler.uuid4
    simulate(1)
    assert domain.handler.uuid4 is before


def test_a_world_is_calm_until_its_weather_is_drawn() -> None:
    world = World(3)
    assert not world.weather.kinds
    assert not any(line.rates or line.cut for line in world.lines.values())
