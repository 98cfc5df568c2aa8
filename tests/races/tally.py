"""Rounds counted: how they ended, and what callers were answered."""

import time
from collections import Counter
from dataclasses import dataclass, field

from tests.races.arena import Arena
from tests.races.rounds import RunRound


@dataclass
class Tally:
    """What so many rounds of one race came to."""

    rounds: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.rounds} rounds in {self.seconds:.1f} s; outcomes: {_counted(self.outcomes)}; "
            f"answers: {_counted(self.answers)}"
        )


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{name} × {count}" for name, count in sorted(counter.items()))


async def run_rounds(arena: Arena, race: RunRound, rounds: int) -> Tally:
    """Run a race so often; an assertion fails where a round went wrong."""
    tally = Tally()
    began = time.monotonic()
    for _ in range(rounds):
        outcome, answers = await race(arena)
        await arena.check()
        tally.rounds += 1
        tally.outcomes[outcome] += 1
        tally.answers.update(answers)
    tally.seconds = time.monotonic() - began
    return tally
