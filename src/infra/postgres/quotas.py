"""What one creator may upload, counted in the database."""

from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from uuid import UUID

from domain.errors import QuotaExceeded, QuotaUsedUp
from domain.quotas import QuotaLimits
from infra.postgres.pool import Pool
from infra.postgres.queries import sql

SURELY_OVER = timedelta(days=3)
"""No upload waits longer than its window and this."""
EVER = timedelta(days=36_500)
SAYINGS = {
    "items": "You have {used} items, and {allowed} are the most. Have some deleted first.",
    "bytes": "You have {used} bytes, and {allowed} are the most. Have something deleted first.",
    "uploading": "{used} of your files have not arrived yet, and {allowed} may be on their way at "
    "once. Complete one, or give one up (DELETE …/upload).",
    "items_day": "You registered {used} files within 24 hours, and {allowed} are the most. Try "
    "again later.",
    "bytes_day": "You registered {used} bytes within 24 hours, and {allowed} are the most. Try "
    "again later, or register a smaller file.",
}
FOR_GOOD = frozenset({"items", "bytes"})


@dataclass(frozen=True, slots=True)
class PostgresQuotas:
    """`domain.quotas.Quotas` over a pool."""

    pool: Pool
    limits: QuotaLimits
    window: timedelta
    """How long a registered file may take to arrive."""

    async def reserve(self, media_id: UUID, creator_id: str, size: int) -> None:
        """Reserve a place; one round trip."""
        in_all = self.limits.items is not None or self.limits.bytes is not None
        look_back = EVER if in_all else self.window + SURELY_OVER
        row = await self.pool.fetchrow(
            sql("reserve_upload"), media_id, creator_id, size, look_back, *self.limits
        )
        if row is None:
            return
        message = SAYINGS[row["quota"]].format(used=row["used"], allowed=row["allowed"])
        if row["quota"] in FOR_GOOD:
            raise QuotaExceeded(message)
        wait_s = row["retry_after_s"]
        raise QuotaUsedUp(message, None if wait_s is None else max(1, ceil(wait_s)))
