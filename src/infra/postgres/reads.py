"""Reads of the projection: straight SQL, no domain in between."""

import json
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from domain.events import StoredEvent
from domain.lifecycle import Status
from infra.postgres.event_store import stored
from infra.postgres.pool import Pool, acting_for
from infra.postgres.queries import sql


class ProgressRow(NamedTuple):
    """How far the running attempt is."""

    percent: float
    stage: str
    rung: str | None
    updated_at: datetime


class ItemRow(NamedTuple):
    """A row of `media_items`, with the running attempt's progress where there is any."""

    id: UUID
    creator_id: str
    status: Status
    media_type: str
    file_name: str | None
    content_type: str
    declared_size: int
    size: int | None
    hls_master_playlist_key: str | None
    hls_preview_key: str | None
    thumbnail_key: str | None
    waveform_key: str | None
    duration_seconds: float | None
    width: int | None
    height: int | None
    transcoding_error: dict[str, object] | None
    transcoding_attempts: int
    runpod_job_id: str | None
    encoder: str | None
    encoder_note: str | None
    version: int
    created_at: datetime
    updated_at: datetime
    progress: ProgressRow | None = None


class SealRow(NamedTuple):
    """An event's place in the ledger, and the first checkpoint that covers it, if there is one."""

    seq: int
    checkpoint_size: int | None
    checkpoint_note: str | None


class StateRow(NamedTuple):
    """What an answer about an item depends on."""

    version: int
    progress_at: datetime | None


class Cursor(NamedTuple):
    """The last item of a page."""

    created_at: datetime
    id: UUID


class MediaReads:
    """Status and lists, owner only."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def item(self, media_id: UUID, creator_id: str) -> ItemRow | None:
        """One creator's item; None when it is missing or somebody else's."""
        row = await self._pool.fetchrow(sql("item"), media_id, creator_id)
        return None if row is None else item_row(row, _progress(row))

    async def state(self, media_id: UUID, creator_id: str) -> StateRow | None:
        """What an answer about one creator's item depends on; None when there is none of theirs."""
        row = await self._pool.fetchrow(sql("item_state"), media_id, creator_id)
        return None if row is None else StateRow(*row)

    async def page(
        self, creator_id: str, status: Status | None, after: Cursor | None, limit: int
    ) -> list[ItemRow]:
        """Up to `limit` items, newest first."""
        created_at, media_id = after or (None, None)
        wanted = None if status is None else status.value
        rows = await self._pool.fetch(
            sql("list_items"), creator_id, wanted, created_at, media_id, limit
        )
        return [item_row(row) for row in rows]

    async def history(self, media_id: UUID, creator_id: str) -> list[StoredEvent]:
        """The events of one creator's item in order; none when it is missing or somebody else's."""
        async with acting_for(self._pool, creator_id) as connection:
            rows = await connection.fetch(sql("load_stream"), media_id, creator_id)
            return [stored(row) for row in rows]

    async def master_key(self, media_id: UUID) -> str | None:
        """The multivariant playlist's key of a ready item, whoever owns it."""
        key: str | None = await self._pool.fetchval(sql("outputs"), media_id)
        return key

    async def seal(self, position: int) -> SealRow | None:
        """Where the ledger holds the event at `position`; None until it is sealed."""
        row = await self._pool.fetchrow(sql("sealed_at"), position)
        return None if row is None else SealRow(*row)

    async def ping(self) -> None:
        """One statement, to see that the database answers."""
        await self._pool.fetchval(sql("now"))


def _progress(row: asyncpg.Record) -> ProgressRow | None:
    if row["percent"] is None:
        return None
    return ProgressRow(row["percent"], row["stage"], row["rung"], row["progress_at"])


def item_row(row: asyncpg.Record, progress: ProgressRow | None = None) -> ItemRow:
    """A row of `media_items` as read."""
    names = ItemRow._fields[:-1]
    values = {name: row[name] for name in names}
    values["status"] = Status(row["status"])
    if row["transcoding_error"] is not None:
        values["transcoding_error"] = json.loads(row["transcoding_error"])
    return ItemRow(**values, progress=progress)
