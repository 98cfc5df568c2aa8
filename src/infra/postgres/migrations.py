"""Bringing the database to the newest schema, however many processes start at once."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
from pogo_core.error import BadMigrationError
from pogo_core.util import migrate as pogo

from infra.postgres.pool import APP_ROLE, CONNECT_TIMEOUT_S, Pool, SchemaBehind

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
    PoolConnectionProxy = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]

_HERE = Path(__file__)
MIGRATIONS = next(
    folder / "migrations"
    for folder in (_HERE.parents[2], _HERE.parents[3])
    if (folder / "migrations" / "0001_history.sql").is_file()
)
"""Beside the packages where they are installed from a wheel, beside `src` in a checkout."""
_LOCK = 0x636F646578
"""Key of the advisory lock that lets one migrating process in at a time."""
WAIT_S = 120.0

log = logging.getLogger(__name__)


class RightsMissing(Exception):
    """The migrating role may not do what a migration does; nothing of that one was kept."""

    code = "rights_missing"

    def __init__(self, failed: Exception, cause: Exception) -> None:
        super().__init__(
            f"{failed}: {str(cause).splitlines()[0]}. Let an administrator of the server run "
            f"`CREATE ROLE {APP_ROLE} NOLOGIN` (if there is none yet) and `GRANT {APP_ROLE} TO` "
            "the role in DATABASE_URL, and migrate again"
        )


async def migrate(dsn: str) -> list[str]:
    """Apply what is missing, each migration in its own transaction; the names applied.

    Replicas that start together wait for the first, at most `WAIT_S` seconds. A process killed
    half-way leaves the transaction rolled back and the lock free.
    """
    connection = await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT_S, command_timeout=WAIT_S)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        before = await _applied(connection)
        await _apply(connection)
        return sorted(await _applied(connection) - before)
    finally:
        await connection.close(timeout=CONNECT_TIMEOUT_S)


async def _apply(connection: "Connection") -> None:
    try:
        await pogo.apply(connection, MIGRATIONS, schema_name="public", logger=log)
    except BadMigrationError as error:
        if isinstance(error.__cause__, asyncpg.InsufficientPrivilegeError):
            raise RightsMissing(error, error.__cause__) from error
        raise


async def require_current(pool: Pool) -> None:
    """`SchemaBehind` unless every migration of this version is applied."""
    try:
        async with pool.acquire() as connection:
            missing = {path.stem for path in MIGRATIONS.glob("*.sql")} - await _applied(connection)
    except asyncpg.InsufficientPrivilegeError:
        # They come with a migration, so one that was cut short leaves the list unreadable.
        raise SchemaBehind([f"the rights of {APP_ROLE}"]) from None
    if missing:
        raise SchemaBehind(sorted(missing))


async def _applied(connection: "Connection | PoolConnectionProxy") -> set[str]:
    if await connection.fetchval("SELECT to_regclass('public._pogo_migration')") is None:
        return set()
    rows = await connection.fetch("SELECT migration_id FROM public._pogo_migration")
    return {row["migration_id"] for row in rows}
