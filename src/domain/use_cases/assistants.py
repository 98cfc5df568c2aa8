"""Further jobs for an attempt whose film is made in chunks.

They are a favour: each is called once, nobody waits for it, and what it says changes no item. The
job that has the attempt makes the film without them, too.
"""

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple, Protocol
from uuid import UUID

from domain.errors import AccessDenied, TranscoderError
from domain.events import StoredEvent
from domain.media import MediaItem, fold
from domain.ports import EventStore, Transcoder
from domain.use_cases.dispatch import job_of

log = logging.getLogger(__name__)


class WantedJob(NamedTuple):
    """One assistant of an attempt; `job_id` is None until it was called."""

    media_id: UUID
    attempt: int
    number: int
    job_id: str | None


class Roster(Protocol):
    """The assistants of attempts, those that are wanted and those that were called."""

    async def want(self, media_id: UUID, attempt: int, count: int) -> None:
        """Note that the attempt could do with so many. Nothing if it does not run, or has them."""
        ...

    async def take(self) -> WantedJob | None:
        """Lease one that is to be called, for the only time, or whose attempt is over."""
        ...

    async def sent(self, wanted: WantedJob, job_id: str) -> None:
        """It was called, and is this job."""
        ...

    async def forget(self, wanted: WantedJob) -> None:
        """It has ended, or never began."""
        ...


@dataclass(frozen=True, slots=True)
class Assistants:
    """Calls them, and dismisses them when their attempt is over."""

    store: EventStore
    transcoder: Transcoder
    roster: Roster
    most: int
    """For one attempt; 0: none."""

    async def wanted(self, media_id: UUID, attempt: int, count: int) -> None:
        """The job that has the attempt says how many could help."""
        if (count := min(count, self.most)) > 0:
            await self.roster.want(media_id, attempt, count)

    async def step(self) -> bool:
        """Call or dismiss one; whether there was one."""
        wanted = await self.roster.take()
        if wanted is None:
            return False
        history = await self.store.load(wanted.media_id)
        item = fold(stored.event for stored in history)
        if item is None:
            raise AccessDenied(wanted.media_id)
        if item.runs(wanted.attempt):
            await self._call(wanted, item, history)
        else:
            await self._dismiss(wanted)
        return True

    async def _call(self, wanted: WantedJob, item: MediaItem, history: list[StoredEvent]) -> None:
        """Whatever comes of it but an id, there is no second try: the job may have been queued."""
        job = job_of(wanted.media_id, item, history)._replace(assist=True)
        try:
            job_id = await self.transcoder.submit(job, await self.store.now())
        except TranscoderError as error:
            log.warning("no assistant for media=%s: %s", wanted.media_id, error)
            return
        await self.roster.sent(wanted, job_id)

    async def _dismiss(self, wanted: WantedJob) -> None:
        if wanted.job_id is not None:
            with suppress(TranscoderError):  # It leaves by itself, and its time limit ends it.
                await self.transcoder.cancel(wanted.job_id)
        await self.roster.forget(wanted)
