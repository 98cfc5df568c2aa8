"""The connection pool, and what a lost database looks like to callers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg

COMMAND_TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 5.0

UNAVAILABLE: tuple[type[Exception], ...] = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.InterfaceError,
)
"""What is raised when the database cannot be reached: try again later."""

if TYPE_CHECKING:  # asyncpg's classes take no parameters when run
    Pool = asyncpg.Pool[asyncpg.Record]
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Pool = asyncpg.Pool


APP_ROLE = "codex_media_app"
"""Made by the migrations: may read everything, and change history through functions alone."""


class SchemaBehind(Exception):
    """The database lacks migrations that this version needs."""

    code = "schema_behind"

    def __init__(self, missing: list[str]) -> None:
        super().__init__(f"run `codex-media migrate`: not applied yet: {', '.join(missing)}")
        self.missing = missing


async def _lower_rights(connection: "Connection") -> None:
    try:
        await connection.execute(f"SET ROLE {APP_ROLE}")
    except (asyncpg.InvalidParameterValueError, asyncpg.UndefinedObjectError):
        raise SchemaBehind([f"the role {APP_ROLE}"]) from None


@asynccontextmanager
async def open_pool(dsn: str, max_size: int) -> AsyncIterator[Pool]:
    """A pool in which no statement outlives `COMMAND_TIMEOUT_S`, here and in the server.

    Its connections have the rights of `APP_ROLE`, whoever logs in. They are opened when needed, so
    that a process can start, and say so, before the database is migrated.
    """
    async with asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=max_size,
        init=_lower_rights,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=COMMAND_TIMEOUT_S,
        server_settings={
            "application_name": "codex-media",
            "statement_timeout": f"{int(COMMAND_TIMEOUT_S * 1000)}",
            "idle_in_transaction_session_timeout": "30000",
        },
    ) as pool:
        yield pool
