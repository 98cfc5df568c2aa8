"""Who may migrate: no superuser is needed."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import pytest_asyncio

from infra.postgres.migrations import RightsMissing, migrate
from infra.postgres.pool import APP_ROLE, SchemaBehind, open_pool


@pytest_asyncio.fixture(params=["CREATEROLE", "NOCREATEROLE"])
async def own_dsn(request: pytest.FixtureRequest, server_dsn: str) -> AsyncIterator[str]:
    """A new database of an ordinary role, which may make roles or was granted ours."""
    async with _database_of_a_new_role(server_dsn, request.param, granted=True) as dsn:
        yield dsn


@asynccontextmanager
async def _database_of_a_new_role(
    server_dsn: str, right: str, *, granted: bool
) -> AsyncIterator[str]:
    name = f"migrator_{secrets.token_hex(4)}"
    server = await asyncpg.connect(server_dsn)
    await server.execute(f"CREATE ROLE {name} LOGIN {right}")
    if granted:
        await server.execute(f"GRANT {APP_ROLE} TO {name}")
    parts = urlsplit(server_dsn)
    place = parts.netloc.rpartition("@")[2]
    await server.execute(f"CREATE DATABASE {name} OWNER {name}")
    try:
        yield urlunsplit(parts._replace(netloc=f"{name}@{place}", path=f"/{name}"))
    finally:
        await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
        if granted:
            await server.execute(f"REVOKE {APP_ROLE} FROM {name}")
        await server.execute(f"DROP ROLE {name}")
        await server.close()


async def test_an_ordinary_role_migrates_its_own_database(own_dsn: str) -> None:
    assert "0002_ledger" in await migrate(own_dsn)
    async with open_pool(own_dsn, 2) as pool:
        assert await pool.fetchval("SELECT current_user") == APP_ROLE
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute("DELETE FROM events")


async def test_a_role_that_was_not_granted_ours_is_told_what_an_administrator_must_do(
    server_dsn: str,
) -> None:
    async with _database_of_a_new_role(server_dsn, "NOCREATEROLE", granted=False) as dsn:
        with pytest.raises(RightsMissing, match=f"0002_ledger.*`GRANT {APP_ROLE} TO`"):
            await migrate(dsn)
        async with open_pool(dsn, 2) as pool:
            with pytest.raises(SchemaBehind, match="the right to act as"):
                await pool.fetchval("SELECT 1")
