"""Lose a database and bring it back from a backup: `python -m tests.drill --items 20`.

A real PostgreSQL server, `codex-media serve` and `work`, and RunPod's stand-in with jobs at work.
`pg_dump` backs up; the last minutes are lost; a second, empty server gets the dump; `work` finds
out the rest. Exit code 1 where an item is stuck, or is shown otherwise than before or than its
events say.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
from pathlib import Path

from infra.embedded.postgres import start_postgres
from infra.embedded.supervisor import Supervisor
from tests.drill.backup import copy_role, restore
from tests.drill.restore import Told, drill
from tests.kill.__main__ import shared_parts


async def run(items: int, *, patient: bool) -> Told:
    """The drill, restored to a server of its own."""
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        async with shared_parts(Path(first)) as parts, Supervisor(Path(second)) as supervisor:
            server = (await start_postgres(supervisor)).dsn

            async def restored(lost: str, path: Path) -> str:
                await copy_role(lost, server)
                return await restore(path, server, "restored")

            return await drill(parts, restored, items, patient=patient)


def show(told: Told, items: int) -> None:
    """The figures."""
    lines = (
        f"{7 * items} items in the backup, {items} registered after it",
        f"{told.lost_events} events lost; restored in {told.restored_s:.1f} s",
        f"nothing left to do {told.rest_s:.1f} s after the start",
        f"items now: {dict(told.statuses)}, each shown as before the loss and as its events say",
        f"messages about items that are gone: {told.quarantined}, all quarantined",
        f"a checkpoint from before the backup holds; one of the lost minutes: {told.newer[0]}",
    )
    sys.stdout.write("\n".join(lines) + "\n")


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=10, help="of each of eight kinds")
    parser.add_argument(
        "--patient", action="store_true", help="wait the ten minutes that quarantine takes"
    )
    chosen = parser.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    try:
        told = asyncio.run(run(chosen.items, patient=chosen.patient))
    except AssertionError as error:
        sys.exit(f"the drill failed: {error}")
    show(told, chosen.items)


if __name__ == "__main__":
    main()
