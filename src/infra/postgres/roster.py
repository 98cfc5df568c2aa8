"""Jobs that help an attempt; see `domain.use_cases.assistants`."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from domain.use_cases.assistants import WantedJob
from infra.postgres.pool import Pool
from infra.postgres.queries import sql


@dataclass(frozen=True, slots=True)
class PostgresRoster:
    """`domain.use_cases.assistants.Roster` over a pool."""

    pool: Pool
    lease: timedelta

    async def want(self, media_id: UUID, attempt: int, count: int) -> None:
        """Note that the attempt could do with so many. Nothing if it does not run, or has them."""
        await self.pool.execute(sql("want_assistants"), media_id, attempt, count)

    async def take(self) -> WantedJob | None:
        """Lease one that is to be called, for the only time, or whose attempt is over."""
        row = await self.pool.fetchrow(sql("take_assistant"), self.lease)
        return None if row is None else WantedJob(*row)

    async def sent(self, wanted: WantedJob, job_id: str) -> None:
        """It was called, and is this job."""
        await self.pool.execute(sql("assistant_sent"), *wanted[:3], job_id)

    async def forget(self, wanted: WantedJob) -> None:
        """It has ended, or never began."""
        await self.pool.execute(sql("forget_assistant"), *wanted[:3])
