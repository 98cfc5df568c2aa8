"""Databases that hold a long history already, made by sets in SQL with valid chains."""

import asyncio
import time
from collections import deque
from uuid import uuid5

import asyncpg

from bench.contenders import CONNECTIONS
from bench.database import STATEMENT_LIMIT_S, execute, settings_of
from bench.lives import EVENTS_PER_LIFE, life
from infra.ledger.sealer import Sealer
from infra.postgres.event_store import PostgresEventStore
from infra.postgres.pool import open_pool
from infra.postgres.queries import sql
from tests import factories as f

WRITERS = 2
CHUNK = 10_000
"""Lives that one writer writes at a time."""

BORN = """
SET session_replication_role = replica;
CREATE TEMP TABLE born AS
SELECT gen_random_uuid() AS id, ''::bytea AS hash FROM generate_series(1, {lives});
"""

# The life that the store has lived once, again for every item: one version of all at a time.
NEXT_VERSION = """
WITH template AS (
    SELECT e.*, coalesce(e.payload->>'commitment', '-') AS commitment, p.salt, p.fields::text
    FROM events e LEFT JOIN personal p USING (stream_id, version)
    WHERE stream_id = '{template}' AND version = {version}
), written AS (
    INSERT INTO events (stream_id, version, event_id, type, schema_version, payload, actor,
        correlation_id, traceparent, occurred_at, recorded_at, prev_hash, hash)
    SELECT (e).stream_id, (e).version, (e).event_id, (e).type, (e).schema_version, (e).payload,
        (e).actor, (e).correlation_id, (e).traceparent, (e).occurred_at, (e).recorded_at,
        (e).prev_hash, event_hash(e)
    FROM (
        SELECT ROW(0, b.id, {version}, gen_random_uuid(), t.type, t.schema_version,
            replace(replace(t.payload::text, '{template}', b.id::text), t.commitment,
                CASE WHEN t.salt IS NULL THEN t.commitment ELSE encode(sha256(convert_to(format(
                    E'codex-media.personal.v1\\n%s\\n%s', encode(t.salt, 'hex'),
                    replace(t.fields, '{template}', b.id::text)), 'UTF8')), 'hex') END)::json,
            t.actor, t.correlation_id,
            NULL, t.traceparent, NULL, t.occurred_at, t.recorded_at, b.hash, '')::events AS e
        FROM born b CROSS JOIN template t
        OFFSET 0
    ) AS made
    RETURNING position, stream_id, hash
), queued AS (
    INSERT INTO unsealed SELECT position FROM written
)
UPDATE born SET hash = w.hash FROM written w WHERE born.id = w.stream_id
"""

FINISH = """
INSERT INTO streams SELECT id, {version}, 'ready', hash FROM born;
INSERT INTO media_items
SELECT (jsonb_populate_record(m,
    replace(to_jsonb(m)::text, '{template}', b.id::text)::jsonb)).*
FROM born b CROSS JOIN media_items m WHERE m.id = '{template}';
INSERT INTO personal
SELECT b.id, p.version, p.salt, replace(p.fields::text, '{template}', b.id::text)::json
FROM born b CROSS JOIN personal p WHERE p.stream_id = '{template}';
DROP TABLE born;
"""
SETTLE = ("VACUUM ANALYZE", "CHECKPOINT")


async def grow(dsn: str, events: int) -> None:
    """Fill a migrated, empty database with about so many events of ready items, all sealed."""
    began = time.perf_counter()
    await _live_once(dsn)
    lives = max(events // EVENTS_PER_LIFE - 1, 0)
    chunks = deque(min(CHUNK, lives - begin) for begin in range(0, lives, CHUNK))
    await asyncio.gather(*(_write(dsn, chunks) for _ in range(WRITERS)))
    await seal_all(dsn)
    await execute(dsn, *SETTLE)
    print(f"  {events:,} events made in {time.perf_counter() - began:.0f} s", flush=True)


async def _write(dsn: str, chunks: deque[int]) -> None:
    connection = await asyncpg.connect(dsn, command_timeout=STATEMENT_LIMIT_S)
    try:
        while chunks:
            words = {"template": f.MEDIA_ID, "lives": chunks.popleft()}
            await connection.execute(BORN.format(**words))
            for version in range(1, EVENTS_PER_LIFE + 1):
                await connection.execute(NEXT_VERSION.format(version=version, **words))
            await connection.execute(FINISH.format(version=EVENTS_PER_LIFE, **words))
            print(f"  written, {len(chunks)} chunks to write", flush=True)
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
        while await sealer.seal_once():
            print(f"  sealed {await pool.fetchval(sql('ledger_size')):,}", flush=True)
