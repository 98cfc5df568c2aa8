"""Who may migrate: no superuser is needed."""

import secrets
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import pytest_asyncio

from infra.postgres.migrations import migrate
from infra.postgres.pool import APP_ROLE, open_pool


@pytest_asyncio.fixture(params=["CREATEROLE", "NOCREATEROLE"])
async def own_dsn(request: pytest.FixtureRequest, server_dsn: str) -> AsyncIterator[str]:
    """A new database of an ordinary role, which may make roles or was granted ours."""
    name = f"migrator_{secrets.token_hex(4)}"
    server = await asyncpg.connect(server_dsn)
    await server.execute(f"CREATE ROLE {name} LOGIN {request.param}")
    await server.execute(f"GRANT {APP_ROLE} TO {name}")
    await server.execute(f"CREATE DATABASE {name} OWNER {name}")
    parts = urlsplit(server_dsn)
    place = parts.netloc.rpartition("@")[2]
    yield urlunsplit(parts._replace(netloc=f"{name}@{place}", path=f"/{name}"))
    await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await server.execute(f"REVOKE {APP_ROLE} FROM {name}")
    await server.execute(f"DROP ROLE {name}")
    await server.close()


async def test_an_ordinary_role_migrates_its_own_database(own_dsn: str) -> None:
    assert "0002_ledger" in await migrate(own_dsn)
    async with open_pool(own_dsn, 2) as pool:
        assert await pool.fetchval("SELECT current_user") == APP_ROLE
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute("DELETE FROM events")
