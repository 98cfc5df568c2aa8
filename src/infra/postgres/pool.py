"""The connection pool, and what a lost database looks like to callers."""

import asyncio
import logging
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
from asyncpg.pool import PoolAcquireContext

from infra.postgres.queries import sql

COMMAND_TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 5.0
ACQUIRE_TIMEOUT_S = 3.0
"""For a free connection of a pool, the opening of a new one included."""
CLOSE_TIMEOUT_S = 2.0
"""For a pool's connections to be given back; then they are cut."""
MAX_QUERIES = 50_000
MAX_IDLE_S = 300.0
"""After so much use, and so long without any, a connection is replaced."""

log = logging.getLogger(__name__)


class PoolExhausted(Exception):
    """Every connection of the pool was in use, for as long as a caller waits."""

    def __init__(self, size: int, waited_s: float) -> None:
        super().__init__(f"all {size} connections were in use for {waited_s:g} s")


UNAVAILABLE: tuple[type[Exception], ...] = (
    OSError,
    TimeoutError,
    PoolExhausted,
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
    Acquired = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    AcquireContext = PoolAcquireContext[asyncpg.Record]
else:
    Pool = asyncpg.Pool
    AcquireContext = PoolAcquireContext


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
        await connection.execute(f"SET ROLE {APP_ROLE}; SET codex_media.creator = '*'")
    except (asyncpg.InvalidParameterValueError, asyncpg.UndefinedObjectError):
        raise SchemaBehind([f"the role {APP_ROLE}"]) from None
    except asyncpg.InsufficientPrivilegeError:
        raise SchemaBehind([f"the right to act as {APP_ROLE}"]) from None


async def _keep_session(_: "Connection") -> None:
    """Nothing the pool's users do outlives a statement or its transaction.

    asyncpg would send `RESET ALL` and more each time, which is a round trip for every one that is
    of use. An open transaction it rolls back all the same.
    """


class _BoundedAcquire(AcquireContext):
    """Takes a connection in time, or says why there was none."""

    __slots__ = ()

    async def __aenter__(self) -> "Acquired":
        try:
            return await super().__aenter__()
        except TimeoutError as error:
            raise self._reason() or error from None

    def __await__(self) -> Generator[Any, None, "Acquired"]:
        return self.__aenter__().__await__()

    def _reason(self) -> PoolExhausted | None:
        """None where a connection was free, but could not be opened in time."""
        size = self.pool.get_max_size()
        in_use = self.pool.get_size() - self.pool.get_idle_size()
        return PoolExhausted(size, self.timeout or 0) if in_use == size else None


class _BoundedPool(Pool):
    """Waits for a connection `ACQUIRE_TIMEOUT_S` at most: asyncpg's own waits for ever.

    Each of its ways to run a statement begins with `acquire`. The same time is what a connection
    gets to be reset when it is given back.
    """

    def acquire(self, *, timeout: float | None = None) -> AcquireContext:
        return _BoundedAcquire(self, ACQUIRE_TIMEOUT_S if timeout is None else timeout)


@asynccontextmanager
async def open_pool(dsn: str, max_size: int) -> AsyncIterator[Pool]:
    """A pool in which nothing waits for ever, and no statement outlives `COMMAND_TIMEOUT_S`.

    `PoolExhausted` where `ACQUIRE_TIMEOUT_S` brings no free connection. Connections have the rights
    of `APP_ROLE`, whoever logs in, and read for all creators until told otherwise. They are opened
    when needed, so that a process can start, and say so, before the database is migrated.
    """
    pool = await _BoundedPool(
        dsn,
        min_size=0,
        max_size=max_size,
        max_queries=MAX_QUERIES,
        max_inactive_connection_lifetime=MAX_IDLE_S,
        loop=None,
        connection_class=asyncpg.Connection,
        record_class=asyncpg.Record,
        init=_lower_rights,
        reset=_keep_session,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=COMMAND_TIMEOUT_S,
        server_settings={
            "application_name": "codex-media",
            "statement_timeout": f"{int(COMMAND_TIMEOUT_S * 1000)}",
            "idle_in_transaction_session_timeout": "30000",
        },
    )
    try:
        yield pool
    finally:
        await _close(pool)


@asynccontextmanager
async def acting_for(pool: Pool, creator_id: str) -> AsyncIterator["Acquired"]:
    """A transaction that reads one creator's items and events alone, whatever it asks for.

    Row-level security sees to it: `0010_security.sql`. Everything else of a pool reads for all.
    """
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        await connection.execute(sql("act_for"), creator_id)
        yield connection


async def _close(pool: Pool) -> None:
    # asyncpg waits for whoever still holds a connection, however long. Interrupted, it cuts them.
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await pool.close()
    except UNAVAILABLE as error:
        log.warning("connections were cut: %s", type(error).__name__)
