"""Send many hostile webhooks and print figures: `python -m tests.hostile --count 100000`.

Exit code 1 where anything changed, any answer was wrong, or anything unhandled was logged.
"""

import argparse
import asyncio
import logging
import sys

from infra.postgres.pool import open_pool
from infra.settings import load
from tests.api.service import running
from tests.hostile.attack import attack, fingerprint, settle, unsigned_rows, watching
from tests.hostile.scene import set_scene
from tests.parts import standing


async def run(count: int, seed: int) -> bool:
    """Whether all went well."""
    async with standing() as environ, running(load(environ)) as service:
        scene = await set_scene(service.services)
        async with open_pool(environ["DATABASE_URL"], 2) as pool:
            before = await fingerprint(pool)
            with watching(scene) as watch:
                record = await attack(service.app, scene, count, seed)
                await settle(service.services, pool)
            changed = [name for name, text in (await fingerprint(pool)).items() if text != before[name]]
            unsigned = await unsigned_rows(pool, scene)
    say = sys.stdout.write
    say(f"{record}\n")
    for kind, number in sorted(record.kinds.items()):
        say(f"  {kind} × {number}\n")
    say(f"tables changed: {changed or 'none'}; unsigned messages kept: {unsigned}\n")
    say(f"wrong answers: {len(record.wrong)}; errors logged: {len(watch.errors)}; ")
    say(f"secrets logged: {len(watch.leaks)}\n")
    for finding in [*record.wrong[:20], *watch.errors[:20]]:
        say(f"  {finding[:300]}\n")
    return not (changed or unsigned or record.wrong or watch.errors or watch.leaks)


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    logging.getLogger().addHandler(logging.NullHandler())
    sys.exit(0 if asyncio.run(run(chosen.count, chosen.seed)) else 1)


if __name__ == "__main__":
    main()
