"""The service's role may do what the documents say, and nothing else was left open."""

import secrets
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest_asyncio

from infra.postgres.event_store import PostgresEventStore
from infra.postgres.pool import APP_ROLE, Pool, open_pool
from infra.postgres.reads import MediaReads
from tests import factories as f
from tests.infra import lives
from tests.infra.lives import live
from tests.rights import CALLS, NEVER, RIGHTS, STATEMENTS, VIEWS, WORDS


async def test_every_table_is_as_the_documents_say(owner: Pool) -> None:
    found = await owner.fetch(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm')"
        " AND relnamespace = 'public'::regnamespace"
    )
    assert {name for (name,) in found} - {"_pogo_version"} == set(RIGHTS)
    for table, right in RIGHTS.items():
        for word in (*WORDS.values(), *NEVER):
            may = await owner.fetchval(
                "SELECT has_table_privilege($1::name, $2, $3)", APP_ROLE, table, word
            )
            assert may is (word in right.words), (table, word)


async def test_each_forbidden_change_is_refused_when_it_is_tried(pool: Pool, owner: Pool) -> None:
    columns = dict(
        await owner.fetch(
            "SELECT relname, (SELECT attname FROM pg_attribute WHERE attrelid = c.oid"
            " AND attnum = 1) FROM pg_class c WHERE relnamespace = 'public'::regnamespace"
        )
    )
    tried = 0
    async with pool.acquire() as connection:
        for table, right in RIGHTS.items():
            if table in VIEWS:
                continue
            for word in set(STATEMENTS) - set(right.words):
                statement = STATEMENTS[word].format(table=table, column=columns[table])
                tried += await refused(connection, statement)
    assert tried > 2 * len(RIGHTS)


async def refused(connection: "asyncpg.pool.PoolConnectionProxy", statement: str) -> bool:
    """Whether it is refused for want of a right; a failure of the test otherwise."""
    try:
        async with connection.transaction():
            await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError:
        return True
    raise AssertionError(f"was let through: {statement}")


async def test_only_these_functions_are_granted(owner: Pool) -> None:
    rows = await owner.fetch(
        "SELECT proname, has_function_privilege($1::name, oid, 'EXECUTE'),"
        " has_function_privilege('public', oid, 'EXECUTE'), prosecdef"
        " FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
        APP_ROLE,
    )
    granted = {name for name, may, everybody, _ in rows if may and not everybody}
    assert granted == set(CALLS)
    with_more_rights = {name for name, *_, definer in rows if definer}
    assert with_more_rights - {"erase_item"} == {  # a trigger's: nobody may call it
        *("append_batch", "append_events", "seal", "drop_remains"),
    }
    assert not [name for name, _, everybody, definer in rows if everybody and definer]


@pytest_asyncio.fixture
async def login(server_dsn: str, dsn: str) -> AsyncIterator[str]:
    """A login of its own for `serve` and `work`, which owns nothing."""
    name = f"api_{secrets.token_hex(4)}"
    server = await asyncpg.connect(server_dsn)
    await server.execute(f"CREATE ROLE {name} LOGIN IN ROLE {APP_ROLE}")
    parts = urlsplit(dsn)
    yield urlunsplit(parts._replace(netloc=f"{name}@{parts.netloc.rpartition('@')[2]}"))
    await server.execute(f"DROP ROLE {name}")
    await server.close()


async def test_a_login_that_owns_nothing_serves_and_cannot_get_more(login: str) -> None:
    async with open_pool(login, 2) as pool:
        await live(PostgresEventStore(pool), lives.READY)
        assert await MediaReads(pool).item(f.MEDIA_ID, f.CREATOR) is not None
        async with pool.acquire() as connection:
            await connection.execute("RESET ROLE")
            for statement in (
                "DELETE FROM events",
                "UPDATE media_items SET creator_id = 'x'",
                "ALTER TABLE media_items DISABLE ROW LEVEL SECURITY",
                "DROP POLICY own ON events",
                "ALTER TABLE events DISABLE TRIGGER append_only",
                "SET session_replication_role = replica",
                "CREATE TABLE mine (id int)",
            ):
                assert await refused(connection, statement)
