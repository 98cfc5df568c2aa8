"""A worker's machine that stops for minutes with a request on the wire, and goes on (SIGSTOP)."""

import pytest

from domain.lifecycle import Status
from tests.simulate.stories import only, stop_and_run_again, tell


@pytest.mark.parametrize("lands_after_s", [0.01, 30.0, 100.0, 132.0, 150.0, 190.0, 250.0])
def test_what_a_stopped_run_had_sent_damages_nothing_that_another_run_writes(
    lands_after_s: float,
) -> None:
    """I3: whenever that one PUT lands, the manifest's objects are those that it describes."""
    world = tell(stop_and_run_again(200.0, lands_after_s))
    assert only(world).status is Status.READY
    assert world.counts["machine: went on"] == 1
    (history,) = world.watch.holders.values()
    assert len(history) == 2


@pytest.mark.parametrize("stopped_s", [80.0, 100.0, 130.0, 132.0])
def test_a_run_that_goes_on_while_another_has_its_claim_writes_nothing(stopped_s: float) -> None:
    """I7: of the two that are at work, one holds the claim."""
    world = tell(stop_and_run_again(stopped_s, 0.01))
    assert only(world).status is Status.READY
    assert world.counts["machine: went on"] == 1
