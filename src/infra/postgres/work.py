"""What is left to do: attempts to send, jobs to ask about, states to end.

Work is leased, never locked over an outside call: what a dead process held comes back by itself.
"""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from domain.lifecycle import Status
from domain.ports import Breaker, Calls, Lease, Overdue, WatchedJob
from infra.postgres.pool import Pool
from infra.postgres.queries import sql

LEASE = timedelta(seconds=60)
"""Longer than any call to the vendor may take."""
FIRST_POLL, LAST_POLL = timedelta(seconds=15), timedelta(minutes=2)
PROBE_EVERY = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class PostgresOutbox:
    """`domain.ports.Outbox` over a pool."""

    pool: Pool
    lease: timedelta = LEASE

    async def take(self, media_id: UUID | None = None) -> Lease | None:
        """Lease a due attempt (of one item, if given); None when there is none."""
        if media_id is None:
            row = await self.pool.fetchrow(sql("take_dispatch"), self.lease)
        else:
            row = await self.pool.fetchrow(sql("take_dispatch_of"), media_id, self.lease)
        return None if row is None else Lease(*row)

    async def postpone(self, lease: Lease, delay_s: float, reason: str) -> None:
        """Give the lease back: next try after `delay_s` seconds."""
        delay = timedelta(seconds=delay_s)
        key = (lease.media_id, lease.attempt)
        await self.pool.execute(sql("postpone_dispatch"), *key, delay, reason[:500])

    async def add(self, media_id: UUID, attempt: int) -> None:
        """Queue an attempt whose job was lost."""
        await self.pool.execute(sql("add_dispatch"), media_id, attempt)

    async def drop(self, lease: Lease) -> None:
        """The attempt needs no job any more."""
        await self.pool.execute(sql("drop_dispatch"), lease.media_id, lease.attempt)

    async def calls(self, media_id: UUID, attempt: int) -> Calls:
        """The calls made for an attempt so far."""
        row = await self.pool.fetchrow(sql("calls"), media_id, attempt)
        return Calls(0, 0.0) if row is None else Calls(*row)

    async def begin_call(self, lease: Lease) -> bool:
        """Count a call before it is made; False when the attempt has used up its calls."""
        made = await self.pool.fetchval(sql("begin_call"), lease.media_id, lease.attempt)
        return made is not None

    async def take_back_call(self, lease: Lease) -> None:
        """The call just begun queued nothing for sure."""
        await self.pool.execute(sql("take_back_call"), lease.media_id, lease.attempt)


@dataclass(frozen=True, slots=True)
class PostgresWatchlist:
    """`domain.ports.Watchlist` over a pool. Polls of a job are `first` apart, growing to `last`."""

    pool: Pool
    first: timedelta = FIRST_POLL
    last: timedelta = LAST_POLL

    async def take(self) -> WatchedJob | None:
        """Lease a job that is due; None when there is none."""
        row = await self.pool.fetchrow(sql("take_poll"), self.first, self.last)
        return None if row is None else WatchedJob(*row)

    async def find(self, job_id: str) -> WatchedJob | None:
        """The recorded job of this id, whether it is still watched or not."""
        row = await self.pool.fetchrow(sql("find_job"), job_id)
        return None if row is None else WatchedJob(*row)

    async def hurry(self, media_id: UUID, attempt: int) -> None:
        """Make the attempt's jobs due now."""
        await self.pool.execute(sql("poll_at_once"), media_id, attempt)

    async def close(self, job_id: str) -> None:
        """Stop watching a job."""
        await self.pool.execute(sql("close_job"), job_id)

    async def close_for_another(self, media_id: UUID, attempt: int, job_id: str | None) -> bool:
        """Stop watching a job if another one is watched, or the attempt waits for one."""
        key = (media_id, attempt, job_id)
        return bool(await self.pool.fetchval(sql("close_for_another"), *key))

    async def reopen(self, job_id: str) -> None:
        """Watch a job again that was given up too early."""
        await self.pool.execute(sql("reopen_job"), job_id)

    async def open_jobs(self, media_id: UUID) -> list[str]:
        """The ids of an item's jobs that may still run."""
        return [row["job_id"] for row in await self.pool.fetch(sql("open_jobs"), media_id)]


@dataclass(frozen=True, slots=True)
class PostgresBreakers:
    """`domain.ports.Breakers` over a pool: what one replica trips pauses all."""

    pool: Pool
    probe_every: timedelta = PROBE_EVERY

    async def trip(self, breaker: Breaker, reason: str) -> None:
        """Stop dispatch until a probe succeeds."""
        await self.pool.execute(sql("trip"), breaker.value, reason[:500])

    async def take_probe(self) -> Breaker | None:
        """Lease a tripped breaker whose next probe is due; None when there is none."""
        name = await self.pool.fetchval(sql("take_probe"), self.probe_every)
        return None if name is None else Breaker(name)

    async def reset(self, breaker: Breaker) -> None:
        """Let dispatch go on."""
        await self.pool.execute(sql("reset"), breaker.value)


@dataclass(frozen=True, slots=True)
class PostgresDeadlines:
    """`domain.ports.Deadlines` over a pool."""

    pool: Pool

    async def overdue(self, limit: int) -> list[Overdue]:
        """Items whose state has outlived its deadline, the longest overdue first."""
        rows = await self.pool.fetch(sql("overdue"), limit)
        return [Overdue(row["id"], Status(row["status"])) for row in rows]
