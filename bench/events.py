"""How fast the event store appends, replays and verifies, against named baselines.

    python -m bench.events [--quick]

Everything runs on one PostgreSQL server with fsync on, in rounds in which the contenders take
turns. Printed are medians, and ratios of medians with their targets. See bench/README.md.
"""

import argparse
import asyncio
import logging
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

from bench import ceiling, server_side
from bench.contenders import Contender, OurStore
from bench.database import Server, execute, open_server
from bench.grown import grow
from bench.library import EventsourcingLibrary
from bench.naive import NaiveAppend
from bench.printed import figure, ratio
from bench.reading import export_to, replay, verification

VERIFICATIONS = 3
FEW, MANY = 16, 64
"""Callers at once."""


class Sizes(NamedTuple):
    """How much is measured."""

    rounds: int
    seconds: float
    """Of one contender's turn."""
    short_history: int
    long_history: int
    """Events."""


FULL = Sizes(rounds=5, seconds=2.0, short_history=10_000, long_history=1_000_000)
QUICK = Sizes(rounds=1, seconds=0.3, short_history=600, long_history=3_000)

Turn = Callable[[], Coroutine[None, None, float]]


async def interleaved(rounds: int, turns: dict[str, Turn]) -> dict[str, float]:
    """The median of each turn over rounds in which all take part, the last one first every time.

    A first round that does not count warms caches and plans.
    """
    found: dict[str, list[float]] = {name: [] for name in turns}
    for number in range(rounds + 1):
        for name in sorted(turns, reverse=bool(number % 2)):
            rate = await turns[name]()
            if number:
                found[name].append(rate)
    return {name: median(rates) for name, rates in found.items()}


def turn(contender: Contender, callers: int, seconds: float) -> Turn:
    """One contender's turn."""
    return lambda: contender.rate(callers, seconds)


async def appends(server: Server, folder: Path, sizes: Sizes) -> None:
    """Our store against the naive append, the library, and the one-row insert."""
    naive = NaiveAppend(await server.create_migrated("naive"))
    await naive.prepare()
    one_row = await server.create("one_row")
    await execute(one_row, ceiling.TABLE)
    ours = OurStore(await server.create_migrated("ours"))
    await server.create_migrated("in_server")
    contenders: dict[str, Contender] = {
        "ours": ours,
        "naive": naive,
        "library": EventsourcingLibrary(await server.create("library")),
        "pgbench": ceiling.Pgbench(server, "one_row", folder),
        "in server": await server_side.prepare(server, "in_server", folder),
        "asyncpg": ceiling.AsyncpgInsert(one_row),
    }
    turns = {
        f"{name} {callers}": turn(contender, callers, sizes.seconds)
        for callers in (FEW, MANY)
        for name, contender in contenders.items()
        if callers == FEW or name in {"ours", "naive", "library"}
    }
    rates = await interleaved(sizes.rounds, turns)
    for name, rate in rates.items():
        print(f"  {name:<12} {rate:>9,.0f} /s")
    for callers in (FEW, MANY):
        ratio(
            f"appends, {callers} callers, to the naive append",
            rates[f"ours {callers}"],
            rates[f"naive {callers}"],
            at_least=1.5,
        )
        ratio(
            f"appends, {callers} callers, to the eventsourcing library",
            rates[f"ours {callers}"],
            rates[f"library {callers}"],
            at_least=4,
        )
    ratio(
        f"appends, {FEW} callers, to pgbench's one-row insert",
        rates[f"ours {FEW}"],
        rates[f"pgbench {FEW}"],
        at_least=0.6,
    )
    ratio(
        f"appends by pgbench, {FEW} callers, to pgbench's one-row insert",
        rates[f"in server {FEW}"],
        rates[f"pgbench {FEW}"],
        at_least=0.6,
    )
    ratio(
        f"appends, {FEW} callers, to asyncpg's one-row insert",
        rates[f"ours {FEW}"],
        rates[f"asyncpg {FEW}"],
        at_least=0.6,
    )


async def growth(server: Server, folder: Path, sizes: Sizes) -> None:
    """What a long history costs: appending to it, replaying it, verifying it."""
    short = await server.create_migrated("short_history")
    long = await server.create_migrated("long_history")
    await grow(short, sizes.short_history)
    await grow(long, sizes.long_history)
    replayed = {dsn: await replay(dsn) for dsn in (short, long)}
    await export_to(long, folder / "bundle.zip")
    verified = [
        verification(folder / "bundle.zip") for _ in range(min(sizes.rounds, VERIFICATIONS))
    ]
    figure("replay, events/s", replayed[long].rate, at_least=100_000)
    for whose, memory in (("server's", 1), ("own", 2)):
        found, base = replayed[long][memory], replayed[short][memory]
        print(f"  replay's memory, {whose} process: {found:.1f} MiB, and {base:.1f} MiB when short")
        ratio(f"replay's memory, {whose} process, long history to short", found, base, at_most=2)
    figure("verification, events/s", median(each.rate for each in verified), at_least=200_000)
    cpu = median(each.cpu_us for each in verified)
    print(
        f"  {cpu:.2f} us of processor time for an event: {os.cpu_count()} cores could do ", end=""
    )
    print(f"{(os.cpu_count() or 1) * 1e6 / cpu:,.0f} events/s")
    rates = await interleaved(
        sizes.rounds,
        {
            "short": turn(OurStore(short), FEW, sizes.seconds),
            "long": turn(OurStore(long), FEW, sizes.seconds),
        },
    )
    ratio(
        f"time of an append, {sizes.long_history:,} events to {sizes.short_history:,}",
        1 / rates["long"],
        1 / rates["short"],
        at_most=1.15,
    )


async def main(sizes: Sizes) -> None:
    """Measure and print."""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.2f} at the start")
    with TemporaryDirectory(prefix="codex-media-bench-") as folder:
        async with open_server() as server:
            await appends(server, Path(folder), sizes)
            await growth(server, Path(folder), sizes)
    print(f"load {os.getloadavg()[0]:.2f} at the end")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="smaller sizes, under 20 s: a smoke test"
    )
    logging.getLogger("infra").setLevel(logging.WARNING)
    asyncio.run(main(QUICK if parser.parse_args().quick else FULL))
