"""History cannot be changed: not by the application, not by the owner, not by a superuser."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg
import pytest

from domain.events import StoredEvent
from domain.media import fold
from infra.postgres.event_store import PostgresEventStore
from infra.postgres.pool import APP_ROLE, Pool
from tests import factories as f
from tests.infra import lives
from tests.infra.lives import live

HISTORY = ("events", "ledger", "checkpoints", "audit_reads")
"""What nothing ever leaves. Of what leaves with an erased item, `test_erasure` tells."""
CHANGES = {
    "UPDATE": "UPDATE {table} SET {column} = {column}",
    "DELETE": "DELETE FROM {table}",
    "TRUNCATE": "TRUNCATE {table} CASCADE",
}
COLUMNS = {
    "events": "actor",
    "ledger": "position",
    "checkpoints": "note",
    "audit_reads": "actor",
}
REFUSED_BY_TRIGGER = "CM004"
NO_RIGHT = "42501"

Session = Callable[[asyncpg.Connection], Awaitable[object]]


async def as_application(connection: asyncpg.Connection) -> None:
    await connection.execute(f"SET ROLE {APP_ROLE}")


async def as_owner(connection: asyncpg.Connection) -> None:
    """The role that migrates, which in an embedded server is a superuser."""
    assert await connection.fetchval(
        "SELECT pg_get_userbyid(relowner) = current_user FROM pg_class WHERE relname = 'events'"
    )


async def as_replica(connection: asyncpg.Connection) -> None:
    """A superuser who switches ordinary triggers off."""
    await connection.execute("SET session_replication_role = replica")


@asynccontextmanager
async def session(owner: Pool, role: Session) -> AsyncIterator[asyncpg.Connection]:
    async with owner.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await role(connection)
        yield connection
        await transaction.rollback()


@pytest.mark.parametrize("role", [as_application, as_owner, as_replica])
@pytest.mark.parametrize("table", HISTORY)
@pytest.mark.parametrize("change", CHANGES)
async def test_no_role_in_use_changes_history(
    owner: Pool, pool: Pool, role: Session, table: str, change: str
) -> None:
    await live(PostgresEventStore(pool), lives.REGISTERED)
    before = await owner.fetch("SELECT * FROM events")
    statement = CHANGES[change].format(table=table, column=COLUMNS[table])
    async with session(owner, role) as connection:
        with pytest.raises(asyncpg.PostgresError) as refusal:
            await connection.execute(statement)
    expected = NO_RIGHT if role is as_application else REFUSED_BY_TRIGGER
    assert refusal.value.sqlstate == expected
    assert await owner.fetch("SELECT * FROM events") == before


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO events (stream_id) VALUES (gen_random_uuid())",
        "UPDATE streams SET version = 0",
        "UPDATE media_items SET status = 'ready'",
        "DELETE FROM media_items",
        "INSERT INTO ledger VALUES (1, 1)",
        "UPDATE ledger_head SET size = 9",
        "DELETE FROM unsealed",
        "SELECT write_set('{}', '{}', '{}')",
        "ALTER TABLE events DISABLE TRIGGER append_only",
        "DROP TABLE events CASCADE",
        "CREATE TABLE mine (id int)",
        "SET session_replication_role = replica",
    ],
)
async def test_the_application_writes_history_through_its_functions_alone(
    pool: Pool, statement: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute(statement)


async def test_the_application_does_what_it_must(pool: Pool) -> None:
    await live(PostgresEventStore(pool), lives.RETRIED)
    assert await pool.fetchval("SELECT current_user") == APP_ROLE
    assert await pool.fetchval("SELECT count(*) FROM unsealed") == await pool.fetchval(
        "SELECT count(*) FROM events"
    )


async def test_every_pooled_connection_has_the_applications_rights(pool: Pool) -> None:
    async with pool.acquire() as one, pool.acquire() as other:
        for connection in (one, other, one):
            assert await connection.fetchval("SELECT current_user") == APP_ROLE
    async with pool.acquire() as again:  # The pool resets what a connection was left with.
        assert await again.fetchval("SELECT current_user") == APP_ROLE


async def test_a_command_sent_again_is_answered_as_before_and_not_repeated(pool: Pool) -> None:
    store, command_id = PostgresEventStore(pool), uuid4()
    item = fold(f.uploading())
    assert item is not None

    async def send() -> list[StoredEvent]:
        return await store.append(
            f.MEDIA_ID, 0, f.uploading(), item, f.context(), command_id=command_id
        )

    first = await send()
    await lives.append(store, [f.upload_completed()])
    assert await send() == first
    assert await pool.fetchval("SELECT count(*) FROM events") == 2
