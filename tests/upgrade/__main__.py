"""An upgrade, and the way back, under load: `python -m tests.upgrade COMMIT`.

The program of COMMIT (default: the last one) makes the database and serves. While items go through
their whole lives without a pause, today's migrations are applied; then `work` and `serve` are
replaced by today's, one after the other; then both by those of COMMIT again, and by today's for
good. Exit code 1 where an item does not end `ready`, or history, rows, ledger or calls are wrong.
"""

import argparse
import asyncio
import io
import logging
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from moto.server import ThreadedMotoServer

from infra.embedded.postgres import start_postgres
from infra.embedded.stack_secrets import StackSecrets
from infra.embedded.supervisor import Supervisor
from tests.conftest import TEMPLATE, _execute
from tests.kill.books import check, come_to_rest
from tests.kill.host import ROOT, Host, hosting
from tests.kill.world import Parts, Role, World, world

EVERY_S = 0.25
STAY_S = 3.0
"""How long each mixture of versions works."""


class Versions(NamedTuple):
    """What starts the program of COMMIT, and what starts today's."""

    old: Host
    new: Host


async def run(commit: str) -> None:
    """The whole way there and back and there; AssertionError says what is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        old = Path(folder) / "old"
        unpack(commit, old)
        async with (
            hosting(Path(folder), old) as old_host,
            hosting(Path(folder)) as new_host,
            parts(Path(folder), old_host) as shared,
            world(shared) as made,
        ):
            versions = Versions(old_host, new_host)
            await ran(made, versions.old, "migrate")
            await there_and_back(made, versions)


def unpack(commit: str, folder: Path) -> None:
    """The program as it was, in `folder`."""
    argv = ["git", "archive", "--format=tar", commit]
    archive = subprocess.run(argv, cwd=ROOT, capture_output=True, check=True, timeout=60)
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(folder, filter="data")


@asynccontextmanager
async def parts(folder: Path, host: Host) -> AsyncIterator[Parts]:
    """Servers for a world whose database is still empty."""
    async with Supervisor(folder / "stack") as supervisor:
        dsn = (await start_postgres(supervisor, durable=False)).dsn
        await _execute(dsn, f"CREATE DATABASE {TEMPLATE}")
        store = ThreadedMotoServer(port=0)
        store.start()
        address, port = store.get_host_and_port()
        try:
            secrets = StackSecrets.of_folder(folder)
            yield Parts(host, dsn, f"http://{address}:{port}", secrets, folder)
        finally:
            store.stop()


async def there_and_back(made: World, versions: Versions) -> None:
    """Replace what runs, step by step, while items live."""
    await start(made, versions.old, "api")
    await start(made, versions.old, "work")
    await made.serving()
    stop = asyncio.Event()
    living = asyncio.create_task(live(made, stop))
    await stay(made, living, "the old program on its own schema")
    say(f"migrations: {(await ran(made, versions.new, 'migrate')).strip()}")
    await stay(made, living, "the old program on the new schema")
    for host, name in ((versions.new, "new"), (versions.old, "old"), (versions.new, "new")):
        roles: tuple[Role, ...] = ("work", "api")
        for role in roles:
            await start(made, host, role)
            await stay(made, living, f"`{role}` is the {name} one")
    stop.set()
    count = await living
    await come_to_rest(made.pool)
    await check(made.pool, made.settings, made.creator, made.worker, made.vendor)
    await ran(made, versions.new, "replay", "--check")
    states = await made.pool.fetch("SELECT status, count(*) FROM media_items GROUP BY status")
    assert dict(map(tuple, states)) == {"ready": count}, states
    say(f"{count} items, all ready; history, rows, ledger and calls are right")


async def live(made: World, stop: asyncio.Event) -> int:
    """Items, one after the other and beside each other; how many."""
    count = 0
    async with asyncio.TaskGroup() as group:
        while not stop.is_set():
            group.create_task(made.creator.live(f"upgrade-{count}"))
            count += 1
            await asyncio.sleep(EVERY_S)
    return count


async def start(made: World, host: Host, role: Role) -> None:
    """Let this program take the place of the one that runs."""
    if role in made.processes:
        await made.processes[role].end(signal.SIGTERM)
    made.parts = made.parts._replace(host=host)
    await made.start(role)


async def stay(made: World, living: "asyncio.Task[int]", what: str) -> None:
    """Let it work for a while."""
    await asyncio.wait([living], timeout=STAY_S)
    if living.done():
        await living
    ready = await made.pool.fetchval("SELECT count(*) FROM media_items WHERE status = 'ready'")
    say(f"{what}: {ready} items ready")


async def ran(made: World, host: Host, *arguments: str) -> str:
    """`codex-media ARGUMENTS` of this program, which must succeed; what it printed."""
    process = await host.start(arguments[0], [*arguments], made.environ)
    assert await process.ended == 0, process.told()
    return process.told()


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commit", nargs="?", default="HEAD~1")
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    try:
        asyncio.run(run(parser.parse_args().commit))
    except AssertionError as error:
        sys.exit(f"the upgrade failed: {error}")


if __name__ == "__main__":
    main()
