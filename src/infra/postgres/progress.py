"""Progress of running attempts: overwritten, not history; and who is told that it changed."""

import asyncio
import logging
from collections.abc import Iterator
from uuid import UUID

from gpu_worker.contract_logs import apart
from infra.postgres.pool import UNAVAILABLE, Pool
from infra.postgres.queries import sql

CHANNEL = "progress"
"""Notified with the ids of items whose progress changed, separated by spaces."""
GATHER_S = 0.25
"""Notifying takes a lock of the whole server's: what changes within so long is told at once."""
IDS_OF_A_PAYLOAD = 200
"""A payload holds less than 8,000 bytes."""

log = logging.getLogger(__name__)


class ProgressBoard:
    """Keeps the newest progress of each item, and tells listeners of it soon after."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._changed: set[UUID] = set()
        self._telling: asyncio.Task[None] | None = None

    async def save(
        self, media_id: UUID, attempt: int, percent: float, stage: str, rung: str | None
    ) -> None:
        """Note how far the attempt is; ignored when it is not the running one."""
        await self._pool.execute(sql("save_progress"), media_id, attempt, percent, stage, rung)
        self._changed.add(media_id)
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell(), context=apart())

    async def _tell(self) -> None:
        while self._changed:
            await asyncio.sleep(GATHER_S)
            changed, self._changed = sorted(self._changed), set()
            try:
                await self._pool.execute(sql("notify_progress"), CHANNEL, list(payloads(changed)))
            except UNAVAILABLE as error:
                # The next message about the item tells of it again.
                log.warning("progress is not told: %s", type(error).__name__)


def payloads(media_ids: list[UUID]) -> Iterator[str]:
    """The ids as payloads that are short enough."""
    for first in range(0, len(media_ids), IDS_OF_A_PAYLOAD):
        yield " ".join(map(str, media_ids[first : first + IDS_OF_A_PAYLOAD]))


def ids_of(payload: str) -> Iterator[UUID]:
    """The ids that a payload names; none for one that is not ours."""
    for word in payload.split():
        try:
            yield UUID(word)
        except ValueError:
            continue
