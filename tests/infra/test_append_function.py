"""`append_events` in the database: what it refuses, what it hashes, what it undoes."""

import hashlib
import json
from datetime import datetime, timezone
from itertools import pairwise, product
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from domain.lifecycle import FIRST_EVENT, INITIAL, TRANSITIONS
from domain.media import evolve, fold
from domain.personal import PersonalRecord
from domain.read_model import project
from infra.postgres.event_store import PostgresEventStore, canonical
from infra.postgres.group_commit import AppendRefused
from infra.postgres.pool import Pool
from infra.postgres.queries import sql
from tests import factories as f
from tests.infra import lives
from tests.infra.lives import append, live

APPEND = "SELECT append_events($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
TABLES = ("events", "personal", "streams", "media_items", "outbox", "vendor_jobs", "progress")
CUT = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
AWKWARD_NAME = 'Ünï "quoted" \\ /\t🎬\u2028.mp4'


@pytest.fixture
def store(pool: Pool) -> PostgresEventStore:
    return PostgresEventStore(pool)


async def contents(pool: Pool) -> dict[str, list[asyncpg.Record]]:
    """Every row of every table that an append writes."""
    return {name: await pool.fetch(f"SELECT * FROM {name} ORDER BY 1, 2") for name in TABLES}  # noqa: S608 - our own names


async def append_raw(pool: Pool, version: int, event_type: str, row: dict[str, Any]) -> None:
    """Call the function as somebody who has our database, but not our code."""
    await pool.fetch(
        APPEND,
        f.MEDIA_ID,
        version,
        [uuid4()],
        [event_type],
        [1],
        ["{}"],
        f.NOW,
        "intruder",
        uuid4(),
        None,
        None,
        None,
        json.dumps(row),
    )


async def test_database_enforces_exactly_the_transitions_table(pool: Pool) -> None:
    found = {tuple(row) for row in await pool.fetch(sql("transitions"))}
    table = {(row["source"], row["trigger"], row["dest"]) for row in TRANSITIONS}
    assert found == table | {("", FIRST_EVENT, INITIAL.value)}


async def test_forbidden_transition_is_refused_with_its_own_sqlstate(
    pool: Pool, store: PostgresEventStore
) -> None:
    await live(store, lives.REGISTERED)
    before = await contents(pool)
    row = {**project_of(f.uploading()), "version": 2}
    for event_type in ("media.registered", "media.transcoding_completed", "media.unheard_of", ""):
        with pytest.raises(asyncpg.PostgresError, match="no transition by") as refusal:
            await append_raw(pool, 1, event_type, row)
        assert refusal.value.sqlstate == "CM002"
    assert await contents(pool) == before


def project_of(history: tuple[Any, ...]) -> dict[str, Any]:
    """The row of a history."""
    item = fold(history)
    assert item is not None
    return dict(project(f.MEDIA_ID, item))


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"status": "ready"}, id="status"),
        pytest.param({"version": 7}, id="version"),
        pytest.param({"status": None}, id="no status"),
        pytest.param({"version": None}, id="no version"),
        pytest.param({"id": str(uuid4())}, id="another item's id"),
    ],
)
async def test_row_that_does_not_fit_its_events_is_refused(
    pool: Pool, store: PostgresEventStore, wrong: dict[str, Any]
) -> None:
    await live(store, lives.REGISTERED)
    before = await contents(pool)
    row = project_of(f.expired()) | wrong
    with pytest.raises(asyncpg.PostgresError, match="does not fit") as refusal:
        await append_raw(pool, 1, "media.upload_expired", row)
    assert refusal.value.sqlstate == "CM002"
    assert await contents(pool) == before


async def test_append_that_fails_at_its_last_statement_leaves_nothing_behind(
    pool: Pool, store: PostgresEventStore
) -> None:
    other = uuid4()
    await live(store, lives.SUBMITTED, other)
    await live(store, lives.REQUESTED)
    before = await contents(pool)
    # The job list takes each job once; by then events, head and row are written.
    with pytest.raises(AppendRefused, match="vendor_jobs"):
        await append(store, [f.transcoding_submitted()])
    assert await contents(pool) == before
    await append(store, [f.transcoding_submitted(1, "job-of-its-own")])


async def test_append_whose_connection_is_cut_leaves_nothing_behind(
    pool: Pool, owner: Pool, store: PostgresEventStore
) -> None:
    await live(store, lives.REQUESTED)
    before = await contents(pool)
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        item = fold((*f.uploaded(), f.transcoding_requested(), f.transcoding_failed()))
        assert item is not None
        await append_on(connection, item)
        await owner.fetchval("SELECT pg_terminate_backend($1)", connection.get_server_pid())
        with pytest.raises(CUT):
            await transaction.commit()
    assert await contents(pool) == before


async def append_on(connection: Any, item: Any) -> None:
    """Append the item's last event inside somebody's transaction."""
    await connection.fetch(
        APPEND,
        f.MEDIA_ID,
        item.version - 1,
        [uuid4()],
        ["media.transcoding_failed"],
        [1],
        [canonical(f.sealed(f.transcoding_failed()).event)],
        f.NOW,
        "runpod",
        uuid4(),
        None,
        None,
        None,
        json.dumps(project(f.MEDIA_ID, item)),
    )


def utc_text(moment: datetime) -> str:
    """As the hash has it: microseconds always, and a Z."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")  # noqa: UP017


def recomputed(row: asyncpg.Record) -> bytes:
    """The hash of a row of `events`, by the description in migrations/0001_history.sql alone."""
    lines = [
        "codex-media.event.v1",
        str(row["stream_id"]),
        str(row["version"]),
        str(row["event_id"]),
        row["type"],
        str(row["schema_version"]),
        row["actor"],
        str(row["correlation_id"]),
        "" if row["causation_id"] is None else str(row["causation_id"]),
        row["traceparent"] or "",
        row["evidence"].hex() if row["evidence"] else "",
        utc_text(row["occurred_at"]),
        utc_text(row["recorded_at"]),
        row["prev_hash"].hex(),
        row["payload"],
    ]
    return hashlib.sha256("\n".join(lines).encode()).digest()


async def rows_of(pool: Pool, media_id: UUID) -> list[asyncpg.Record]:
    """The stream as it lies in the table."""
    return await pool.fetch("SELECT * FROM events WHERE stream_id = $1 ORDER BY version", media_id)


async def test_hash_chain_can_be_recomputed_without_the_database(
    pool: Pool, store: PostgresEventStore
) -> None:
    awkward = f.registered(file_name=AWKWARD_NAME)
    await append(store, [awkward])
    await live(store, lives.RETRIED[1:])
    rows = await rows_of(pool, f.MEDIA_ID)
    assert [recomputed(row) for row in rows] == [row["hash"] for row in rows]
    assert rows[0]["prev_hash"] == b""
    assert all(after["prev_hash"] == before["hash"] for before, after in pairwise(rows))
    head = await pool.fetchval("SELECT hash FROM streams WHERE stream_id = $1", f.MEDIA_ID)
    assert head == rows[-1]["hash"]


async def test_hash_covers_absent_and_present_context_alike(
    pool: Pool, store: PostgresEventStore
) -> None:
    for cause, traceparent in product((None, UUID(int=7)), (None, f.TRACEPARENT)):
        media_id = uuid4()
        context = f.context().model_copy(update={"causation_id": cause, "traceparent": traceparent})
        item = evolve(None, f.registered())
        await store.append(media_id, 0, [f.registered()], item, context, command_id=uuid4())
        (row,) = await rows_of(pool, media_id)
        assert recomputed(row) == row["hash"]


CHANGES = (
    "payload = replace(payload::text, '1048576', '1048577')::json",
    "payload = (payload::text || ' ')::json",
    "actor = actor || '-'",
    "occurred_at = occurred_at + interval '1 microsecond'",
    "recorded_at = recorded_at - interval '1 microsecond'",
    "event_id = gen_random_uuid()",
    "schema_version = 3",
    "version = 2",
    "causation_id = correlation_id",
    "traceparent = NULL",
    "prev_hash = decode('00', 'hex')",
)


async def test_any_change_of_a_stored_event_breaks_its_hash(
    owner: Pool, store: PostgresEventStore
) -> None:
    await live(store, lives.REGISTERED)
    for change in CHANGES:
        async with owner.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute("ALTER TABLE events DISABLE TRIGGER append_only")
            row = await connection.fetchrow(f"UPDATE events SET {change} RETURNING *")  # noqa: S608 - our own text
            await transaction.rollback()
        assert row is not None
        assert recomputed(row) != row["hash"], change


async def test_hash_depends_on_no_setting_of_the_session(
    pool: Pool, store: PostgresEventStore
) -> None:
    async with pool.acquire() as connection:
        await connection.execute(
            "SET timezone = 'Asia/Kathmandu'; SET datestyle = 'German'; SET bytea_output = 'escape'"
        )
        await live(store, lives.READY)
        here = await connection.fetch("SELECT e.hash, event_hash(e) AS again FROM events e")
    assert here
    assert all(row["hash"] == row["again"] for row in here)


async def test_payload_and_what_it_commits_to_are_stored_as_their_rfc_8785_text(
    pool: Pool, store: PostgresEventStore
) -> None:
    await append(store, [f.registered(file_name=AWKWARD_NAME)])
    (row,) = await rows_of(pool, f.MEDIA_ID)
    (kept,) = await pool.fetch("SELECT * FROM personal")
    # RFC 8785, 3.2: members by name, no white space, only what must be is escaped.
    assert kept["fields"] == (
        '{"fileName":"Ünï \\"quoted\\" \\\\ /\\t🎬\u2028.mp4",'
        '"inputKey":"creator-1/originals/0190a1b2-0000-4000-8000-000000000001/mp4"}'
    )
    commitment = PersonalRecord(kept["salt"], kept["fields"]).commitment
    assert row["payload"] == (
        f'{{"commitment":"{commitment}",'
        '"contentType":"video/mp4","creatorId":"creator-1","declaredSize":1048576,'
        '"mediaType":"video","uploadDeadline":"2026-11-03T09:00:00Z"}'
    )


async def test_every_payload_is_stored_canonically(pool: Pool, store: PostgresEventStore) -> None:
    await live(store, lives.RETRIED)
    events = [stored.event for stored in await store.load(f.MEDIA_ID)]
    rows = await rows_of(pool, f.MEDIA_ID)
    assert [row["payload"] for row in rows] == [canonical(event) for event in events]
    assert [json.loads(row["payload"]) for row in rows] == [event.payload() for event in events]


@pytest.mark.parametrize("where", ["actor", "traceparent"])
async def test_line_break_in_a_hashed_line_is_refused(pool: Pool, where: str) -> None:
    # Otherwise two different events could be hashed as the same text.
    values = {"actor": "creator:a", "traceparent": f.TRACEPARENT} | {where: "a\nb"}
    with pytest.raises(asyncpg.CheckViolationError):
        await pool.fetch(
            APPEND,
            f.MEDIA_ID,
            0,
            [uuid4()],
            [FIRST_EVENT],
            [1],
            ["{}"],
            f.NOW,
            values["actor"],
            uuid4(),
            None,
            values["traceparent"],
            None,
            json.dumps(project_of(f.uploading())),
        )
