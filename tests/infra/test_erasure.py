"""Erasing in the database: what the event takes with it, and that nothing goes without one."""

from datetime import timedelta
from itertools import product
from uuid import UUID, uuid4

import asyncpg
import pytest

from domain.ports import Channel, EvidenceKind
from domain.use_cases.erasure import Keeping, Remains
from infra.ledger.checkpoint import SigningKey
from infra.ledger.sealer import Sealer
from infra.ledger.verifier import verify
from infra.postgres.erasures import PostgresErasures
from infra.postgres.event_store import PostgresEventStore
from infra.postgres.evidence import PostgresEvidence
from infra.postgres.inbox import PostgresInbox
from infra.postgres.pool import Pool
from infra.settings import Settings
from tests import factories as f
from tests.infra import lives
from tests.infra.ledger.test_export import exported
from tests.infra.test_append_only import (
    CHANGES,
    NO_RIGHT,
    REFUSED_BY_TRIGGER,
    as_application,
    as_owner,
    as_replica,
    session,
)

BODY = b'{"message":"holiday.mp4 is broken"}'
COLUMNS = {"personal": "salt", "evidence": "body"}
NEVER = timedelta(0)


@pytest.fixture
def store(pool: Pool) -> PostgresEventStore:
    return PostgresEventStore(pool)


@pytest.fixture
async def kept(pool: Pool, store: PostgresEventStore) -> UUID:
    """A failed item with all that is kept beside its history."""
    await lives.live(store, lives.FAILED)
    await PostgresEvidence(pool).keep(f.MEDIA_ID, EvidenceKind.WORKER_CALLBACK, BODY)
    inbox = PostgresInbox(pool)
    for name in ("decided", "waiting"):
        received = await inbox.receive(Channel.WORKER, name, f.MEDIA_ID, 1, BODY)
        if name == "decided":
            await inbox.decide(received.message.row_id, "failed")
    return f.MEDIA_ID


async def erase(store: PostgresEventStore, media_id: UUID = f.MEDIA_ID) -> None:
    await lives.append(store, [f.erased()], media_id)


async def everything(owner: Pool) -> str:
    """All that any table holds, as text."""
    names = await owner.fetch("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace ="
                              " 'public'::regnamespace")  # fmt: skip
    tables = [await owner.fetch(f"SELECT t::text FROM {row['relname']} t") for row in names]  # noqa: S608 - our own names
    return "\n".join(row[0] for rows in tables for row in rows)


async def test_the_event_takes_all_that_is_personal_with_it(
    owner: Pool, store: PostgresEventStore, kept: UUID
) -> None:
    secrets = ("holiday", "The encoder stopped", "Conversion failed", BODY.hex())
    before = await everything(owner)
    assert all(secret in before for secret in secrets)
    await erase(store)
    after = await everything(owner)
    assert [secret for secret in secrets if secret in after] == []
    rows = await owner.fetch("SELECT message_id, verdict, body FROM webhook_inbox ORDER BY 1")
    assert [tuple(row) for row in rows] == [("decided", "failed", b""), ("waiting", "erased", b"")]
    item = await owner.fetchrow("SELECT m.*, f.* FROM media_items m, media_items_folded f")
    assert item is not None
    assert (item["status"], item["file_name"], item["r2_key"]) == ("erased", None, None)


async def test_history_stays_as_it_was_and_reads_as_erased(
    pool: Pool, store: PostgresEventStore, kept: UUID
) -> None:
    before = await pool.fetch("SELECT * FROM events ORDER BY position")
    assert [stored.personal is not None for stored in await store.load(kept)].count(True) == 2
    await erase(store)
    assert (await pool.fetch("SELECT * FROM events ORDER BY position"))[:-1] == before
    history = await store.load(kept)
    assert [stored.personal for stored in history if stored.personal] == []
    assert "holiday" not in str([stored.event for stored in history])


@pytest.mark.usefixtures("kept")
async def test_no_role_in_use_takes_or_changes_anything_without_the_event(owner: Pool) -> None:
    roles = (as_application, as_owner, as_replica)
    for role, table, change in product(roles, COLUMNS, CHANGES):
        statement = CHANGES[change].format(table=table, column=COLUMNS[table])
        async with session(owner, role) as connection:
            with pytest.raises(asyncpg.PostgresError) as refusal:
                await connection.execute(statement)
        expected = NO_RIGHT if role is as_application else REFUSED_BY_TRIGGER
        assert refusal.value.sqlstate == expected, (role, statement)


async def test_the_function_that_drops_asks_for_the_event(
    pool: Pool, store: PostgresEventStore, kept: UUID
) -> None:
    with pytest.raises(asyncpg.PostgresError, match="no event says") as refusal:
        await pool.fetchval("SELECT drop_remains($1)", kept)
    assert refusal.value.sqlstate == REFUSED_BY_TRIGGER
    assert await pool.fetchval("SELECT count(*) FROM personal") == 2


async def test_fields_of_others_stay(owner: Pool, store: PostgresEventStore, kept: UUID) -> None:
    other = uuid4()
    await lives.live(store, lives.REGISTERED, other)
    await erase(store)
    assert [row[0] for row in await owner.fetch("SELECT stream_id FROM personal")] == [other]
    with pytest.raises(asyncpg.PostgresError, match="no event says"):
        await owner.execute("DELETE FROM personal")


async def test_what_comes_in_while_it_is_erased_is_not_kept(
    pool: Pool, store: PostgresEventStore, kept: UUID
) -> None:
    inbox, evidence = PostgresInbox(pool), PostgresEvidence(pool)
    under_way = await inbox.receive(Channel.WORKER, "late", kept, 1, BODY)
    await erase(store)
    await evidence.keep(kept, EvidenceKind.WORKER_CALLBACK, b"later")
    later = await inbox.receive(Channel.WORKER, "later", kept, 1, BODY)
    for received in (under_way, later):
        await inbox.decide(received.message.row_id, "stale")
    assert await pool.fetchval("SELECT count(*) FROM evidence") == 0
    assert await pool.fetchval("SELECT count(*) FROM webhook_inbox WHERE body <> ''") == 0


async def test_export_of_erased_items_verifies_and_holds_nothing_of_them(
    pool: Pool, settings: Settings, store: PostgresEventStore, kept: UUID
) -> None:
    other = uuid4()
    await lives.live(store, lives.REGISTERED, other)
    key, sealer = SigningKey(*settings.ledger_signer).public, Sealer(pool, settings)
    for erased in (False, True):
        if erased:
            await erase(store)
        await sealer.seal_once()
        packed = await exported(pool, settings, 1)
        verdict = verify(packed, [key])
        assert verdict.findings == []
        assert verdict.streams == 2


async def test_erasing_leaves_work_until_a_look_at_the_bucket_finds_nothing(
    pool: Pool, store: PostgresEventStore
) -> None:
    await lives.live(store, lives.SUBMITTED)
    await erase(store)
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 0
    assert await pool.fetchval("SELECT count(*) FROM vendor_jobs WHERE closed_at IS NULL") == 0
    book = PostgresErasures(pool, timedelta(seconds=60))
    remains = await book.take()
    assert remains == Remains(f.MEDIA_ID, f.CREATOR, 1, ran=True)
    assert await book.take() is None
    assert await book.drop_rows(f.MEDIA_ID) == 0
    await book.postpone(remains, 0, "the bucket did not answer")
    assert await book.take() == remains._replace(tries=2)
    assert not await book.swept(remains, 3, NEVER, 0)
    assert not await book.swept(remains, 0, timedelta(hours=1), 0)
    assert await book.swept(remains, 0, NEVER, 0)
    assert await book.take() is None
    row = await pool.fetchrow("SELECT removed, last_error, finished_at FROM erasures")
    assert row is not None
    assert (row["removed"], row["last_error"], row["finished_at"] is None) == (3, None, False)


async def test_what_was_final_was_written_by_then(pool: Pool, store: PostgresEventStore) -> None:
    await lives.live(store, lives.READY)
    await erase(store)
    assert await pool.fetchval("SELECT written_at < erased_at FROM erasures")


async def test_retention_looks_at_all_items_page_by_page(
    pool: Pool, store: PostgresEventStore
) -> None:
    failed, ready, gone = (uuid4() for _ in range(3))
    chosen = ((failed, lives.EXPIRED), (ready, lives.REGISTERED), (gone, lives.EXPIRED))
    for media_id, life in chosen:
        await lives.live(store, life, media_id)
    await erase(store, gone)
    book = PostgresErasures(pool, timedelta(seconds=60))
    first, day = UUID(int=0), timedelta(days=1)
    assert (await book.overage(first, Keeping(None, NEVER), 9)).media_ids == [failed]
    assert (await book.overage(first, Keeping(day, day), 9)).media_ids == []
    assert (await book.overage(first, Keeping(NEVER, None), 9)).media_ids == sorted([failed, ready])
    page = await book.overage(first, Keeping(NEVER, None), 2)
    assert page.upto == sorted([failed, ready, gone])[1]
    assert (await book.overage(page.upto, Keeping(NEVER, None), 2)).upto is None
    assert await book.overage(UUID(int=2**128 - 1), Keeping(NEVER, None), 2) == ([], None)
