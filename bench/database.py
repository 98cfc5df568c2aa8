"""Databases to measure on: a server of our own that forces its log to disk, as production does."""

import importlib.util
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import asyncpg

from infra.embedded.postgres import PACKAGE, USER, start_postgres
from infra.embedded.supervisor import Supervisor
from infra.postgres.migrations import migrate
from infra.settings import Settings, load
from tests.infra.variables import ENVIRON

STATEMENT_LIMIT_S = 600.0


class Server(NamedTuple):
    """A running server."""

    dsn: str
    socket_folder: Path

    def database(self, name: str) -> str:
        """The DSN of one of its databases."""
        path, _, query = self.dsn.partition("?")
        return f"{path.rsplit('/', 1)[0]}/{name}?{query}"

    async def create(self, name: str) -> str:
        """Make an empty database; its DSN."""
        await execute(self.dsn, f"CREATE DATABASE {name}")
        return self.database(name)

    async def create_migrated(self, name: str) -> str:
        """Make a database with the service's schema; its DSN."""
        dsn = await self.create(name)
        await migrate(dsn)
        return dsn

    def pgbench(self, *arguments: str) -> list[str]:
        """The command line of the pgbench that came with the server."""
        found = importlib.util.find_spec(PACKAGE)
        if found is None or found.origin is None:
            raise FileNotFoundError(f"{PACKAGE} is not installed")
        program = Path(found.origin).parent / "pginstall" / "bin" / "pgbench"
        return [str(program), "-h", str(self.socket_folder), "-U", USER, *arguments]


@asynccontextmanager
async def open_server() -> AsyncIterator[Server]:
    """A server with fsync on whose data is gone afterwards."""
    with TemporaryDirectory(prefix="codex-media-bench-") as folder:
        async with Supervisor(Path(folder)) as supervisor:
            postgres = await start_postgres(supervisor)
            yield Server(postgres.dsn, postgres.socket_folder)


async def execute(dsn: str, *statements: str) -> None:
    """Run statements one by one as the database's owner."""
    connection = await asyncpg.connect(dsn, command_timeout=STATEMENT_LIMIT_S)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def settings_of(dsn: str) -> Settings:
    """The settings of a service on this database."""
    return load(ENVIRON | {"DATABASE_URL": dsn})
