"""What changed of creators' items, in the ledger's order, and how far running ones are."""

from collections.abc import AsyncIterator, Collection
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from infra.postgres.pool import Pool, acting_for
from infra.postgres.queries import sql
from infra.postgres.reads import ItemRow, ProgressRow, item_row

PAGE = 500
NEAR = 5_000
"""Events of everybody that are cheaper looked through than those of all of one creator's items."""


class Change(NamedTuple):
    """A sealed event, and its item as it is projected now."""

    seq: int
    type: str
    version: int
    row: ItemRow


class RunningItem(NamedTuple):
    """How far an item's running attempt is, and since when a worker is at it."""

    media_id: UUID
    creator_id: str
    version: int
    progress: ProgressRow
    started_at: datetime | None


class LiveReads:
    """What streams of status read."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def size(self) -> int:
        """How many events the ledger holds."""
        size: int = await self._pool.fetchval(sql("ledger_size"))
        return size

    async def changes(self, after: int, upto: int, creators: Collection[str]) -> list[Change]:
        """The events of these creators after a place in the ledger and up to another, in order."""
        rows = await self._pool.fetch(sql("changes"), after, upto, list(creators))
        return [_change(row) for row in rows]

    async def changes_of(
        self, creator: str, after: int, upto: int
    ) -> AsyncIterator[tuple[Change, ...]]:
        """The same of one creator, page by page, however long ago `after` was."""
        if upto - after <= NEAR:
            if rows := await self._own(creator, "changes", after, upto, [creator]):
                yield tuple(_change(row) for row in rows)
            return
        while rows := await self._own(creator, "changes_of", creator, after, upto, PAGE):
            yield tuple(_change(row) for row in rows)
            after = rows[-1]["seq"]

    async def _own(self, creator: str, name: str, *arguments: object) -> list[asyncpg.Record]:
        async with acting_for(self._pool, creator) as connection:
            rows: list[asyncpg.Record] = await connection.fetch(sql(name), *arguments)
            return rows

    async def progress(
        self, media_ids: Collection[UUID], creators: Collection[str]
    ) -> list[RunningItem]:
        """How far those of these items are that run and belong to these creators."""
        rows = await self._pool.fetch(sql("progress_of"), list(media_ids), list(creators))
        return [_running(row) for row in rows]

    async def all_progress(self, creators: Collection[str]) -> list[RunningItem]:
        """How far all running items of these creators are."""
        rows = await self._pool.fetch(sql("progress_of_creators"), list(creators))
        return [_running(row) for row in rows]


def _change(row: asyncpg.Record) -> Change:
    return Change(row["seq"], row["event_type"], row["event_version"], item_row(row))


def _running(row: asyncpg.Record) -> RunningItem:
    progress = ProgressRow(row["percent"], row["stage"], row["rung"], row["updated_at"])
    return RunningItem(row["id"], row["creator_id"], row["version"], progress, row["started_at"])
