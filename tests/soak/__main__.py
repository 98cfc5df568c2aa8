"""Mixed load, and whether the service stays as it is: `python -m tests.soak --minutes 15`.

Uploads, polls, event streams, callbacks, forged webhooks, audits and probes at once against real
`codex-media serve` and `work`, PostgreSQL and SeaweedFS, with RunPod's stand-in and a worker that
writes small outputs. Prints how long each kind of request took and what the processes weighed. Exit
code 1 where anything was answered wrongly or logged as an error, memory grows, an item is not at
its end afterwards, or the history does not verify.
"""

import argparse
import asyncio
import logging
import re
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from infra.postgres.pool import open_pool
from tests.kill.books import check_ledger, come_to_rest
from tests.soak.memory import Weight, watch
from tests.soak.place import Place, at_work, soaking
from tests.soak.tally import Tally
from tests.soak.traffic import Traffic, keep, plan

ERROR = re.compile(r"\b(ERROR|CRITICAL|Traceback)\b|\"level\": ?\"(error|critical)\"")


async def run(minutes: float) -> bool:
    """Whether all was well."""
    tally, weights = Tally(), defaultdict[str, Weight](Weight)
    with tempfile.TemporaryDirectory() as folder:
        async with soaking(Path(folder) / "stack") as place:
            traffic = Traffic(place.settings, place.http, tally)
            started = time.monotonic()
            async with at_work(place, tally):
                await load(place, traffic, tally, weights, minutes * 60)
                say(f"{traffic.uploaded} items in {time.monotonic() - started:.0f} s")
                await settle(place)
            logged = logged_errors(place.logs)
    return tell(tally, weights, logged)


async def load(
    place: Place, traffic: Traffic, tally: Tally, weights: defaultdict[str, Weight], seconds: float
) -> None:
    """Everything at once for so long."""
    await traffic.upload()
    tasks = [asyncio.create_task(watch(place.pids, weights))]
    tasks += [
        asyncio.create_task(keep(do, every_s, tally))
        for do, every_s, count in plan(traffic)
        for _ in range(count)
    ]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if not isinstance(ended, asyncio.CancelledError) and ended is not None:
            tally.wrong("soak", repr(ended))


async def settle(place: Place) -> None:
    """Everything comes to rest, and the whole history verifies."""
    async with open_pool(place.settings.database_url.get_secret_value(), 4) as pool:
        await come_to_rest(pool)
        verdict = await check_ledger(pool, place.settings)
    say(f"{verdict.events} events of {verdict.streams} items verified, nothing left to do")


def logged_errors(logs: Path) -> list[str]:
    """What `serve` and `work` logged as errors."""
    lines = [
        line
        for name in ("serve", "work")
        for line in (logs / f"{name}.log").read_text("utf-8", "replace").splitlines()
    ]
    return [line for line in lines if ERROR.search(line)]


def tell(tally: Tally, weights: dict[str, Weight], logged: list[str]) -> bool:
    """Print the figures; whether they are as they should be."""
    say(f"{'kind':<9} {'count':>7} {'p50 ms':>8} {'p99 ms':>8} {'errors':>7}")
    for kind in sorted(tally.took_s):
        half, most = tally.quantile_ms(kind, 0.5), tally.quantile_ms(kind, 0.99)
        count = len(tally.took_s[kind])
        say(f"{kind:<9} {count:>7} {half:>8.1f} {most:>8.1f} {tally.errors[kind]:>7}")
    for name, weight in weights.items():
        state = "flat" if weight.flat else "GROWS"
        thirds = ", ".join(f"{weight.third(number):.1f}" for number in range(3))
        slope = f"{weight.slope_mib_an_hour:+.1f} MiB an hour"
        say(f"memory of {name}: {thirds} MiB by thirds, {slope} after the first: {state}")
    for line in [*tally.troubles[:20], *logged[:20]]:
        say(f"  {line}")
    errors = tally.errors.total()
    say(f"errors: {errors}; logged: {len(logged)}")
    return not errors and not logged and all(weight.flat for weight in weights.values())


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=15)
    chosen = parser.parse_args()
    logging.getLogger().addHandler(logging.NullHandler())
    sys.exit(0 if asyncio.run(run(chosen.minutes)) else 1)


if __name__ == "__main__":
    main()
