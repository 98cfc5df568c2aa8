"""`python -m tests.simulate`: many schedules, or one of them step by step."""

import argparse
import multiprocessing
import sys
import time
from collections import Counter

from tests.simulate.campaign import ROWS, run_range
from tests.simulate.world import Broken, World, simulate

PROGRESS_S = 10.0


def run_one(seed: int, trace: bool) -> int:
    """Run one schedule; its trace on stdout."""
    world = World(seed)
    try:
        simulate(seed, world)
    except Broken as broken:
        print(world.journal if trace else "", broken, sep="\n")
        return 1
    print(world.journal if trace else "", f"seed {seed}: {world.journal.digest()}", sep="\n")
    return 0


def main(argv: list[str]) -> int:
    """0 when no invariant broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many schedules")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="this schedule alone")
    parser.add_argument("--trace", action="store_true", help="print what happened in it")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--stats", action="store_true", help="print how often what happened")
    given = parser.parse_args(argv)
    if given.seed is not None:
        return run_one(given.seed, given.trace)
    return _run_many(range(given.first, given.first + given.seeds), given.jobs, given.stats)


def _run_many(seeds: range, jobs: int, stats: bool) -> int:
    started, counts, met = time.monotonic(), Counter[str](), Counter[str]()
    failures: list[str] = []
    done, told_s = 0, started
    chunks = [seeds[at : at + 50] for at in range(0, len(seeds), 50)]
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for outcome in pool.imap(run_range, chunks):
            counts.update(outcome.counts)
            met.update(outcome.met)
            failures.extend(outcome.failures)
            done += outcome.schedules
            for failure in outcome.failures:
                print(failure, flush=True)
            if time.monotonic() - told_s > PROGRESS_S:
                told_s = time.monotonic()
                told = f"{done} of {len(seeds)} schedules, {len(failures)} broken"
                print(told, file=sys.stderr, flush=True)
    took_s = time.monotonic() - started
    if stats:
        for what, times in sorted(counts.items()):
            print(f"{times / done:10.3f} {what}")
        for row in ROWS:
            print(f"{met[row]:10} schedules met {row}")
    print(f"{done} schedules, {len(failures)} broken, {done / took_s:.0f} a second")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
