"""Kill every process at every point, and print the figures.

python -m tests.kill              API and loops, at every point that their lives reach
python -m tests.kill WORD…        at those whose names hold one of the words
python -m tests.kill worker       the real worker
"""

import asyncio
import logging
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from moto.server import ThreadedMotoServer

from infra.embedded.postgres import start_postgres
from infra.embedded.stack_secrets import StackSecrets
from infra.embedded.supervisor import Supervisor
from infra.postgres.migrations import migrate
from tests.conftest import TEMPLATE, _database, _execute
from tests.kill.gpu import Moment
from tests.kill.host import hosting
from tests.kill.sweep import Struck, rehearse, sweep, targets, told
from tests.kill.takeover import film_in, take_over
from tests.kill.world import ROLES, Parts

AT_ONCE = 4
WORKER = "worker"


@asynccontextmanager
async def shared_parts(folder: Path) -> AsyncIterator[Parts]:
    """What the test run's fixtures give, for a run by hand."""
    async with Supervisor(folder) as supervisor, hosting(folder) as host:
        dsn = (await start_postgres(supervisor, durable=False)).dsn
        await _execute(dsn, f"CREATE DATABASE {TEMPLATE}")
        await migrate(_database(dsn, TEMPLATE))
        store = ThreadedMotoServer(port=0)
        store.start()
        address, port = store.get_host_and_port()
        secrets = StackSecrets.of_folder(folder)
        try:
            yield Parts(host, dsn, f"http://{address}:{port}", secrets, folder)
        finally:
            store.stop()


async def run(words: list[str]) -> int:
    """Sweep, and print the figures; 1 unless all was well."""
    with tempfile.TemporaryDirectory() as folder:
        async with shared_parts(Path(folder)) as parts:
            if WORKER in words:
                return await kill_workers(parts, words)
            points = await rehearse(parts)
            chosen = [
                target
                for role in ROLES
                for target in targets(role, points[role])
                if not words or any(word in target.point for word in words)
            ]
            print(f"{len(chosen)} kills to come", flush=True)
            started = time.monotonic()
            struck = await sweep(parts, chosen, AT_ONCE, show)
            return conclude(struck, time.monotonic() - started)


async def kill_workers(parts: Parts, words: list[str]) -> int:
    """The real worker, at every moment of its work, or at those that are named."""
    moments = [moment for moment in Moment if moment.name in words] or list(Moment)
    film, slowest_s, trouble = film_in(parts.folder), 0.0, 0
    for moment in moments:
        try:
            took_s = await take_over(parts, parts.folder / moment.name, film, moment)
        except Exception as error:  # noqa: BLE001 - told, and counted
            trouble += 1
            print(f"{moment.name:16} {told(error)}", flush=True)
        else:
            slowest_s = max(slowest_s, took_s)
            print(f"{moment.name:16} {took_s:6.2f} s  recovered", flush=True)
    good = len(moments) - trouble
    print(f"worker: {len(moments)} points, {good} recovered, slowest recovery {slowest_s:.2f} s")
    return 1 if trouble else 0


def show(struck: Struck) -> None:
    """A line for each kill."""
    state = struck.trouble or ("recovered" if struck.killed else "not reached")
    role, point = struck.target
    print(f"{role:5} {point:50} {struck.recovered_s:6.2f} s  {state}", flush=True)


def conclude(struck: list[Struck], took_s: float) -> int:
    """The figures of each process; 1 unless every point was reached and recovered from."""
    for role in ROLES:
        of_role = [each for each in struck if each.target.role == role]
        killed = [each for each in of_role if each.killed]
        good = [each for each in killed if not each.trouble]
        slowest = max((each.recovered_s for each in good), default=0.0)
        again = sum(each.again for each in good)
        print(
            f"{role}: {len({each.target.first for each in of_role})} points, "
            f"{len(killed)} kills, {len(good)} recovered, "
            f"slowest recovery {slowest:.2f} s, {again} second attempts"
        )
    print(f"took {took_s:.0f} s")
    reached = {each.target.first for each in struck if each.killed}
    missed = {each.target.first for each in struck} - reached
    print(*(f"never reached: {target}" for target in missed), sep="\n")
    return 1 if missed or any(each.trouble for each in struck) else 0


if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    sys.exit(asyncio.run(run(sys.argv[1:])))
