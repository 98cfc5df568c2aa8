"""Databases that hold a long history already, made by sets in SQL with valid chains."""

from uuid import uuid5

import asyncpg

from bench.contenders import CONNECTIONS
from bench.database import STATEMENT_LIMIT_S, settings_of
from bench.lives import EVENTS_PER_LIFE, life
from infra.ledger.sealer import Sealer
from infra.postgres.event_store import PostgresEventStore
from infra.postgres.pool import open_pool
from tests import factories as f

BEGIN = """
SET session_replication_role = replica;
CREATE TEMP TABLE born AS SELECT gen_random_uuid() AS id FROM generate_series(1, {lives});
INSERT INTO streams SELECT id, 0, '', '' FROM born;
"""

# The life that the store has lived once, again for every item: one version of all at a time.
NEXT_VERSION = """
WITH template AS (
    SELECT * FROM events WHERE stream_id = '{template}' AND version = {version}
), written AS (
    INSERT INTO events (stream_id, version, event_id, type, schema_version, payload, actor,
        correlation_id, traceparent, occurred_at, recorded_at, prev_hash, hash)
    SELECT (e).stream_id, (e).version, (e).event_id, (e).type, (e).schema_version, (e).payload,
        (e).actor, (e).correlation_id, (e).traceparent, (e).occurred_at, (e).recorded_at,
        (e).prev_hash, event_hash(e)
    FROM (
        SELECT ROW(0, b.id, {version}, gen_random_uuid(), t.type, t.schema_version,
            replace(t.payload::text, '{template}', b.id::text)::json, t.actor, t.correlation_id,
            NULL, t.traceparent, NULL, t.occurred_at, t.recorded_at, s.hash, '')::events AS e
        FROM born b JOIN streams s ON s.stream_id = b.id CROSS JOIN template t
        OFFSET 0
    ) AS made
    RETURNING position, stream_id, hash
), queued AS (
    INSERT INTO unsealed SELECT position FROM written
)
UPDATE streams s SET version = {version}, hash = w.hash FROM written w
WHERE s.stream_id = w.stream_id
"""

FINISH = """
UPDATE streams SET status = 'ready' WHERE version = {version};
INSERT INTO media_items
SELECT (jsonb_populate_record(m,
    replace(to_jsonb(m)::text, '{template}', b.id::text)::jsonb)).*
FROM born b CROSS JOIN media_items m WHERE m.id = '{template}';
DROP TABLE born;
"""
SETTLE = ("VACUUM ANALYZE", "CHECKPOINT")


async def grow(dsn: str, events: int) -> None:
    """Fill a migrated, empty database with about so many events of ready items, all sealed."""
    await _live_once(dsn)
    words = {"template": f.MEDIA_ID, "lives": max(events // EVENTS_PER_LIFE - 1, 0)}
    connection = await asyncpg.connect(dsn, command_timeout=STATEMENT_LIMIT_S)
    try:
        await connection.execute(BEGIN.format(**words))
        for version in range(1, EVENTS_PER_LIFE + 1):
            await connection.execute("ANALYZE streams")
            await connection.execute(NEXT_VERSION.format(version=version, **words))
        await connection.execute(FINISH.format(version=EVENTS_PER_LIFE, **words))
        await seal_all(dsn)
        for statement in SETTLE:
            await connection.execute(statement)
    finally:
        await connection.close()


async def _live_once(dsn: str) -> None:
    async with open_pool(dsn, 1) as pool:
        store = PostgresEventStore(pool)
        for step in life(f.MEDIA_ID):
            await store.append(
                f.MEDIA_ID,
                step.version,
                step.events,
                step.item,
                f.context(),
                command_id=uuid5(f.MEDIA_ID, str(step.version)),
            )


async def seal_all(dsn: str) -> None:
    """Seal until nothing waits."""
    async with open_pool(dsn, CONNECTIONS) as pool:
        sealer = Sealer(pool, settings_of(dsn))
        while await pool.fetchval("SELECT EXISTS (SELECT FROM unsealed)"):
            await sealer.seal_once()
