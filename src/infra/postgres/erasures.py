"""Erased items whose objects are being removed, and items that were kept long enough."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from domain.use_cases.erasure import Keeping, Overage, Remains
from infra.postgres.pool import Pool
from infra.postgres.queries import sql


@dataclass(frozen=True, slots=True)
class PostgresErasures:
    """`domain.use_cases.erasure.ErasureBook` and `Shelf` over a pool."""

    pool: Pool
    lease: timedelta

    async def take(self) -> Remains | None:
        """Lease an item that is due; None when there is none."""
        row = await self.pool.fetchrow(sql("take_erasure"), self.lease)
        return None if row is None else Remains(*row)

    async def drop_rows(self, media_id: UUID) -> int:
        """Drop what came into the database since: messages under way. How much that was."""
        dropped: int = await self.pool.fetchval(sql("drop_remains"), media_id)
        return dropped

    async def swept(
        self, remains: Remains, removed: int, linger: timedelta, pause_s: float
    ) -> bool:
        """Note a sweep that `removed` so much; whether it was the last."""
        pause = timedelta(seconds=pause_s)
        done = await self.pool.fetchval(sql("swept"), remains.media_id, removed, linger, pause)
        return bool(done)

    async def postpone(self, remains: Remains, delay_s: float, reason: str) -> None:
        """Give the lease back: next try after `delay_s` seconds."""
        delay = timedelta(seconds=delay_s)
        await self.pool.execute(sql("postpone_erasure"), remains.media_id, delay, reason[:500])

    async def overage(self, after: UUID, keeping: Keeping, limit: int) -> Overage:
        """Look at the next `limit` items."""
        row = await self.pool.fetchrow(sql("overage"), after, limit, *keeping)
        if row is None or row["last"] is None:
            return Overage([], None)
        upto = row["last"] if row["count"] == limit else None
        return Overage(row["over"] or [], upto)
