"""Erased items and their objects, in memory."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from domain.errors import StorageUnavailable
from domain.use_cases.erasure import Keeping, Overage, Remains
from tests.fakes.database import LEASE, MemoryDatabase


@dataclass(frozen=True, slots=True)
class MemoryErasures:
    """Erased items whose objects are being removed; a taken one is due again after `LEASE`."""

    database: MemoryDatabase

    async def take(self) -> Remains | None:
        now = self.database.clock
        due = [
            (entry.next_try_at, media_id)
            for media_id, entry in self.database.erasures.items()
            if not entry.finished and entry.next_try_at <= now
        ]
        if not due:
            return None
        _, media_id = min(due)
        entry = self.database.erasures[media_id]
        entry.tries, entry.next_try_at = entry.tries + 1, now + LEASE
        ran = entry.written_at == entry.erased_at
        return Remains(media_id, entry.creator_id, entry.tries, ran)

    async def drop_rows(self, media_id: UUID) -> int:  # noqa: ARG002 - the port's
        return 0

    async def swept(
        self, remains: Remains, removed: int, linger: timedelta, pause_s: float
    ) -> bool:
        entry, now = self.database.erasures[remains.media_id], self.database.clock
        entry.next_try_at = now + timedelta(seconds=pause_s)
        entry.finished = removed == 0 and entry.written_at + linger <= now
        return entry.finished

    async def postpone(self, remains: Remains, delay_s: float, reason: str) -> None:  # noqa: ARG002
        entry = self.database.erasures[remains.media_id]
        entry.next_try_at = self.database.clock + timedelta(seconds=delay_s)

    async def overage(self, after: UUID, keeping: Keeping, limit: int) -> Overage:
        page = sorted(each for each in self.database.streams if each > after)[:limit]
        over = [each for each in page if self._is_over(each, keeping)]
        return Overage(over, page[-1] if len(page) == limit else None)

    def _is_over(self, media_id: UUID, keeping: Keeping) -> bool:
        first, last = (self.database.streams[media_id][at].recorded_at for at in (0, -1))
        status = self.database.rows[media_id]["status"]
        if status == "erased":
            return False
        return self._past(first, keeping.media) or (
            status == "failed" and self._past(last, keeping.failed)
        )

    def _past(self, since: datetime, kept: timedelta | None) -> bool:
        return kept is not None and since + kept <= self.database.clock


@dataclass(slots=True)
class MemoryItemObjects:
    """Keys of objects. It does not answer while it is `down`, and removes `most` at a time."""

    keys: set[str] = field(default_factory=set)
    most: int = 1000
    down: bool = False

    async def clear(self, creator_id: str, media_id: UUID) -> int:
        if self.down:
            raise StorageUnavailable("The bucket did not answer.")
        own = sorted(
            key for key in self.keys if key.startswith(creator_id) and str(media_id) in key
        )
        self.keys -= {*own[: self.most]}
        return len(own[: self.most])
