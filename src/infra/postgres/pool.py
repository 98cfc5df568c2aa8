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
else:
    Pool = asyncpg.Pool


@asynccontextmanager
async def open_pool(dsn: str, max_size: int) -> AsyncIterator[Pool]:
    """A pool in which no statement outlives `COMMAND_TIMEOUT_S`, here and in the server."""
    async with asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=max_size,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=COMMAND_TIMEOUT_S,
        server_settings={
            "application_name": "codex-media",
            "statement_timeout": f"{int(COMMAND_TIMEOUT_S * 1000)}",
            "idle_in_transaction_session_timeout": "30000",
        },
    ) as pool:
        yield pool
