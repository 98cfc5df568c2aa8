"""What is left to do: attempts to send, jobs to ask about, states to end.

Work is leased, never locked over an outside call: what a dead process held comes back by itself.
"""

from datetime import timedelta
from uuid import UUID

from domain.lifecycle import Status
from domain.ports import Lease, WatchedJob
from infra.postgres.pool import Pool
from infra.postgres.queries import sql

LEASE = timedelta(seconds=60)
"""Longer than any call to the vendor may take."""


class PostgresOutbox:
    """`domain.ports.Outbox` over a pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def take(self, media_id: UUID | None = None) -> Lease | None:
        """Lease a due attempt (of one item, if given); None when there is none."""
        if media_id is None:
            row = await self._pool.fetchrow(sql("take_dispatch"), LEASE)
        else:
            row = await self._pool.fetchrow(sql("take_dispatch_of"), media_id, LEASE)
        return None if row is None else Lease(*row)

    async def postpone(self, lease: Lease, delay_s: float, reason: str) -> None:
        """Give the lease back: next try after `delay_s` seconds."""
        await self._pool.execute(
            sql("postpone_dispatch"),
            lease.media_id,
            lease.attempt,
            timedelta(seconds=delay_s),
            reason[:500],
        )

    async def add(self, media_id: UUID, attempt: int) -> None:
        """Queue an attempt whose job was lost."""
        await self._pool.execute(sql("add_dispatch"), media_id, attempt)

    async def drop(self, lease: Lease) -> None:
        """The attempt needs no job any more."""
        await self._pool.execute(sql("drop_dispatch"), lease.media_id, lease.attempt)


class PostgresWatchlist:
    """`domain.ports.Watchlist` over a pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def take(self) -> WatchedJob | None:
        """Lease a job that is due; None when there is none."""
        row = await self._pool.fetchrow(sql("take_poll"))
        return None if row is None else WatchedJob(*row)

    async def hurry(self, media_id: UUID, attempt: int) -> None:
        """Make the attempt's jobs due now."""
        await self._pool.execute(sql("poll_at_once"), media_id, attempt)

    async def close(self, job_id: str) -> None:
        """Stop watching a job."""
        await self._pool.execute(sql("close_job"), job_id)

    async def open_jobs(self, media_id: UUID) -> list[str]:
        """The ids of an item's jobs that may still run."""
        return [row["job_id"] for row in await self._pool.fetch(sql("open_jobs"), media_id)]


async def overdue(pool: Pool, limit: int) -> list[tuple[UUID, Status]]:
    """Items whose state has outlived its deadline, the longest overdue first."""
    rows = await pool.fetch(sql("overdue"), limit)
    return [(row["id"], Status(row["status"])) for row in rows]
