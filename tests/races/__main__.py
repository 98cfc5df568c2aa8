"""Run every race many times and print figures: `python -m tests.races --rounds 1000`.

An assertion stops the run where a round went wrong; the seed makes the same choices again.
"""

import argparse
import asyncio
import logging
import sys

from tests.parts import standing
from tests.races.arena import open_arena
from tests.races.rounds import RACES
from tests.races.tally import run_rounds


async def run(rounds: int, seed: int, wanted: str) -> None:
    """All races whose name holds `wanted`, each with parts of its own.

    Jobs that one race leaves open fall due, and would be work for the loops of the next.
    """
    for name, race in RACES.items():
        if wanted in name:
            async with standing() as environ, open_arena(environ, seed) as arena:
                tally = await run_rounds(arena, race, rounds)
            sys.stdout.write(f"{name}: {tally}\n")
            sys.stdout.flush()


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="a part of a race's name")
    chosen = parser.parse_args()
    logging.disable(logging.WARNING)
    asyncio.run(run(chosen.rounds, chosen.seed, chosen.only))


if __name__ == "__main__":
    main()
