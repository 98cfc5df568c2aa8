"""The append one writes first: four statements, each its own round trip, in one transaction.

It keeps the same events and the same projected row in the same tables, and does without the
chain, the outbox, the ledger's queue, the check of transitions and the recognition of repeats.
"""

import json
from functools import partial
from uuid import UUID, uuid4

import asyncpg

from bench.contenders import lives_per_second
from bench.database import execute
from bench.lives import APPENDS_PER_LIFE, Append, in_clear, life
from domain.handler import event_id
from domain.media import MediaItem
from domain.read_model import project
from infra.postgres.canonical_json import canonical_json
from infra.postgres.pool import Pool
from tests import factories as f

NAIVE_TABLES = (
    "CREATE TABLE naive_items (LIKE media_items INCLUDING ALL)",
    "CREATE TABLE naive_events (LIKE events INCLUDING ALL)",
)
CREATE_ITEM = """
INSERT INTO naive_items SELECT (jsonb_populate_record(NULL::naive_items,
    $1::jsonb || jsonb_build_object('created_at', now(), 'updated_at', now()))).*"""
LOCK_ITEM = "SELECT version FROM naive_items WHERE id = $1 FOR UPDATE"
INSERT_EVENTS = """
INSERT INTO naive_events (stream_id, version, event_id, type, schema_version, payload, actor,
    correlation_id, traceparent, occurred_at, recorded_at, prev_hash, hash)
SELECT $1, $2 + place, id, type, 1, payload, $6, $7, $8, now(), now(), '', ''
FROM unnest($3::uuid[], $4::text[], $5::json[]) WITH ORDINALITY AS e (id, type, payload, place)"""
UPDATE_ITEM = """
UPDATE naive_items SET status = $2, version = $3, size = $4, etag = $5,
    hls_master_playlist_key = $6, hls_preview_key = $7, thumbnail_key = $8, waveform_key = $9,
    duration_seconds = $10, width = $11, height = $12, transcoding_attempts = $13,
    runpod_job_id = $14, encoder = $15, encoder_note = $16, deadline_at = $17, updated_at = now()
WHERE id = $1"""


class NaiveAppend:
    """Four statements an append; a connection for each caller."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    async def prepare(self) -> None:
        """Make its tables, which are copies of the service's."""
        await execute(self._dsn, *NAIVE_TABLES)

    async def rate(self, callers: int, seconds: float) -> float:
        """Appends per second."""
        async with asyncpg.create_pool(self._dsn, min_size=callers, max_size=callers) as pool:
            lived = await lives_per_second(callers, seconds, partial(_live, pool))
        return APPENDS_PER_LIFE * lived


async def _live(pool: Pool, media_id: UUID) -> None:
    for step in life(media_id):
        async with pool.acquire() as connection, connection.transaction():
            version = await connection.fetchval(LOCK_ITEM, media_id)
            if (version or 0) != step.version:
                raise RuntimeError(f"{media_id} is at version {version}, not {step.version}")
            await connection.execute(INSERT_EVENTS, *_event_columns(media_id, step))
            if step.version:
                await connection.execute(UPDATE_ITEM, *_item_columns(media_id, step.item))
            else:
                await connection.execute(CREATE_ITEM, json.dumps(project(media_id, step.item)))


def _event_columns(media_id: UUID, step: Append) -> tuple[object, ...]:
    command_id, context = uuid4(), f.context()
    return (
        media_id,
        step.version,
        [event_id(command_id, index) for index in range(len(step.events))],
        [event.type for event in step.events],
        [canonical_json(in_clear(event)) for event in step.events],
        context.actor,
        context.correlation_id,
        context.traceparent,
    )


def _item_columns(media_id: UUID, item: MediaItem) -> tuple[object, ...]:
    row = project(media_id, item)
    return (
        media_id,
        row["status"],
        row["version"],
        row["size"],
        row["etag"],
        row["hls_master_playlist_key"],
        row["hls_preview_key"],
        row["thumbnail_key"],
        row["waveform_key"],
        row["duration_seconds"],
        row["width"],
        row["height"],
        row["transcoding_attempts"],
        row["runpod_job_id"],
        row["encoder"],
        row["encoder_note"],
        item.deadline,
    )
