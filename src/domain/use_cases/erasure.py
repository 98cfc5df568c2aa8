"""An item that is to be no more: its event first, then all that lies in the bucket.

The event drops what the database holds beside the history, in its own transaction. What follows
may break off anywhere, and is done again: nothing is forgotten until a look at the bucket found
nothing, when nobody can be writing any more.
"""

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple, Protocol
from uuid import UUID

from domain.commands import EraseMedia
from domain.errors import DomainError, StorageUnavailable, TranscoderError
from domain.events import Context, ErasureReason
from domain.handler import handle
from domain.media import MediaItem
from domain.ports import EventStore, Transcoder
from domain.use_cases.access import load_item, load_owned, system
from domain.use_cases.dispatch import backoff_s

FIRST_PAUSE_S, LAST_PAUSE_S = 5.0, 900.0
"""Between two looks at the bucket, growing."""
PAGE = 1_000
"""Items that retention looks at in one turn."""

log = logging.getLogger(__name__)


class Remains(NamedTuple):
    """An erased item of which something may lie in the bucket. `tries` counts this one."""

    media_id: UUID
    creator_id: str
    tries: int
    ran: bool
    """Whether a job may have run when it was erased."""


class ErasureBook(Protocol):
    """Erased items whose objects are being removed. Filled by the event."""

    async def take(self) -> Remains | None:
        """Lease an item that is due; None when there is none."""
        ...

    async def drop_rows(self, media_id: UUID) -> int:
        """Drop what came into the database since: messages under way. How much that was."""
        ...

    async def swept(
        self, remains: Remains, removed: int, linger: timedelta, pause_s: float
    ) -> bool:
        """Note a sweep that `removed` so much; whether it was the last.

        That is one that found nothing, `linger` after anybody can have begun to write.
        """
        ...

    async def postpone(self, remains: Remains, delay_s: float, reason: str) -> None:
        """Give the lease back: next try after `delay_s` seconds."""
        ...


class ItemObjects(Protocol):
    """All objects of an item, whoever wrote them. Raises `StorageUnavailable`."""

    async def clear(self, creator_id: str, media_id: UUID) -> int:
        """Remove some of what is there, all of it if it is not very much; how much that was."""
        ...


class Keeping(NamedTuple):
    """How long items are kept. None: for good."""

    media: timedelta | None
    """After their registration, whatever became of them."""
    failed: timedelta | None
    """After they failed."""


class Overage(NamedTuple):
    """Items of a page that were kept long enough, and where the page ends; None after the last."""

    media_ids: list[UUID]
    upto: UUID | None


class Shelf(Protocol):
    """All items, page by page in the order of their ids."""

    async def overage(self, after: UUID, keeping: Keeping, limit: int) -> Overage:
        """Look at the next `limit` items."""
        ...


@dataclass(frozen=True, slots=True)
class Erasure:
    """Erases items, on request."""

    store: EventStore
    transcoder: Transcoder
    book: ErasureBook
    objects: ItemObjects
    linger: timedelta
    """How long after an item's last change somebody may still write objects of it."""

    async def erase(
        self, media_id: UUID, creator_id: str | None, reason: ErasureReason, context: Context
    ) -> MediaItem:
        """Erase an item, of this creator if one is named. Done twice, it is done once.

        The item shows nothing of its file from then on; its objects follow within seconds.
        """
        if creator_id is not None:
            await load_owned(self.store, media_id, creator_id)
        command = EraseMedia(context.actor, reason)
        return (await handle(self.store, media_id, command, context)).item

    async def step(self) -> bool:
        """Sweep one erased item's objects away; whether there was one."""
        remains = await self.book.take()
        if remains is None:
            return False
        try:
            removed = await self._sweep(remains)
        except StorageUnavailable as error:
            log.warning("eraser: media=%s: %s", remains.media_id, error)
            await self.book.postpone(remains, backoff_s(remains.tries), str(error))
            return True
        pause_s = min(LAST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(remains.tries - 1, 16))
        if await self.book.swept(remains, removed, self.linger, pause_s):
            log.info("erased media=%s: nothing is left of it", remains.media_id)
        return True

    async def _sweep(self, remains: Remains) -> int:
        if remains.ran:
            await self._cancel(remains)
        dropped = await self.book.drop_rows(remains.media_id)
        return dropped + await self.objects.clear(remains.creator_id, remains.media_id)

    async def _cancel(self, remains: Remains) -> None:
        """Stop what may still run. Where that fails, its time limit ends it, before `linger`."""
        item = await load_item(self.store, remains.media_id)
        for job_id in item.job_ids:
            try:
                await self.transcoder.cancel(job_id)
            except TranscoderError as error:
                log.warning("eraser: job %s of media=%s: %s", job_id, remains.media_id, error)


class Retention:
    """Erases items that were kept long enough, a page at a time, round and round."""

    def __init__(self, erasure: Erasure, shelf: Shelf, keeping: Keeping) -> None:
        self._erasure, self._shelf, self._keeping = erasure, shelf, keeping
        self._upto: UUID | None = None

    async def step(self) -> bool:
        """Look at one page; whether there is another before the round is over."""
        if self._keeping == Keeping(None, None):
            return False
        found = await self._shelf.overage(self._upto or UUID(int=0), self._keeping, PAGE)
        for media_id in found.media_ids:
            await self._erase(media_id)
        self._upto = found.upto
        return found.upto is not None

    async def _erase(self, media_id: UUID) -> None:
        """One that cannot be erased must not keep the others."""
        reason = ErasureReason.RETENTION
        try:
            await self._erasure.erase(media_id, None, reason, system("retention"))
        except DomainError as error:
            log.warning("retention: media=%s: %s", media_id, error)
        else:
            log.info("retention: erased media=%s", media_id)
