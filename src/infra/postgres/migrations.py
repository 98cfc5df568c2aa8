"""Bringing the database to the newest schema, however many processes start at once."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
from pogo_core.migration import topological_sort
from pogo_core.util import sql
from pogo_core.util.migrate import transaction

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
_SCHEMA = "public"

log = logging.getLogger(__name__)


class RightsMissing(Exception):
    """The migrating role may not do what a migration does; nothing of that one was kept."""

    code = "rights_missing"

    def __init__(self, migration: str, cause: Exception) -> None:
        super().__init__(
            f"Failed to apply {migration}: {str(cause).splitlines()[0]}. "
            "Let an administrator of the server run "
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
        if _known() <= before:
            return []
        await _apply(connection)
        return sorted(await _applied(connection) - before)
    finally:
        await connection.close(timeout=CONNECT_TIMEOUT_S)


async def _apply(connection: "Connection") -> None:
    """What pogo's own `apply` does, which takes each file apart twice, at no small cost."""
    await sql.ensure_pogo_sync(connection)
    found = await sql.read_migrations(MIGRATIONS, connection, schema_name=_SCHEMA)
    for migration in topological_sort([each.load() for each in found]):
        if migration.applied:
            continue
        log.warning("Applying %s", migration.id)
        try:
            async with transaction(connection, migration):
                await migration.apply(connection)
                await sql.migration_applied(
                    connection, migration.id, migration.hash, schema_name=_SCHEMA
                )
        except asyncpg.InsufficientPrivilegeError as error:
            raise RightsMissing(migration.id, error) from error


def _known() -> set[str]:
    return {path.stem for path in MIGRATIONS.glob("*.sql")}


async def require_current(pool: Pool) -> None:
    """`SchemaBehind` unless every migration of this version is applied."""
    try:
        async with pool.acquire() as connection:
            missing = _known() - await _applied(connection)
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
