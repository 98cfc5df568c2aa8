"""Send many hostile webhooks and print figures: `python -m tests.hostile --count 100000`.

Most reach the application in process, `--sockets` more a real server as bytes. Exit code 1 where
anything changed, any answer was wrong, or anything unhandled was logged.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from infra.postgres.pool import Pool, open_pool
from infra.settings import load
from tests.api.service import running
from tests.hostile.attack import Record, Watch, attack, fingerprint, settle, unsigned_rows, watching
from tests.hostile.scene import Scene, set_scene
from tests.hostile.wire import bombard, serving
from tests.parts import standing


async def run(count: int, sockets: int, seed: int) -> bool:
    """Whether all went well."""
    async with standing() as environ, running(load(environ)) as service:
        scene = await set_scene(service.services)
        async with open_pool(environ["DATABASE_URL"], 2) as pool:
            before = await fingerprint(pool)
            with watching(scene) as watch:
                record = await attack(service.app, scene, count, seed)
                quiet = await on_sockets(environ, scene, sockets, seed)
                await settle(service.services, pool)
            same = await untouched(pool, scene, before)
    return tell(record, watch) and same and quiet


async def on_sockets(environ: Mapping[str, str], scene: Scene, count: int, seed: int) -> bool:
    """Whether a real server answered without an error, and was still there at the end."""
    with tempfile.TemporaryDirectory() as folder:
        async with serving(environ, Path(folder)) as server:
            answers = await bombard(server, scene, count, seed)
            alive = server.process.returncode is None
        unhandled = server.log.read_text("utf-8").count("Traceback")
    told = ", ".join(f"{status} × {number}" for status, number in sorted(answers.items()))
    say(f"{count} on sockets: {told}; unhandled errors: {unhandled}; ")
    say(f"memory: {server.rss_mib[0]:.1f} to {server.rss_mib[-1]:.1f} MiB")
    return alive and not unhandled and not any(status.startswith("5") for status in answers)


def tell(record: Record, watch: Watch) -> bool:
    """Print what came of an attack; whether it was as it should be."""
    say(str(record))
    for kind, number in sorted(record.kinds.items()):
        say(f"  {kind} × {number}")
    say(f"wrong answers: {len(record.wrong)}; errors logged: {len(watch.errors)}; ")
    say(f"secrets logged: {len(watch.leaks)}")
    for finding in [*record.wrong[:20], *watch.errors[:20]]:
        say(f"  {finding[:300]}")
    return not (record.wrong or watch.errors or watch.leaks)


async def untouched(pool: Pool, scene: Scene, before: dict[str, str]) -> bool:
    """Whether every table is as it was, and no message was kept that nobody signed."""
    after = await fingerprint(pool)
    changed = [name for name in before if after[name] != before[name]]
    unsigned = await unsigned_rows(pool, scene)
    say(f"tables changed: {', '.join(changed) or 'none'}; unsigned messages kept: {unsigned}")
    return not changed and not unsigned


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{line}\n")


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--sockets", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    logging.getLogger().addHandler(logging.NullHandler())
    sys.exit(0 if asyncio.run(run(chosen.count, chosen.sockets, chosen.seed)) else 1)


if __name__ == "__main__":
    main()
