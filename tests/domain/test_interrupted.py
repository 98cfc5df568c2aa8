"""Commands whose append was stored, and whose answer was lost."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from domain.errors import StoreInterrupted
from domain.events import StoredEvent
from domain.lifecycle import Status
from domain.ports import JobPhase
from tests import factories as f
from tests.domain.world import World
from tests.fakes import MemoryEventStore


@dataclass(frozen=True)
class Interrupted(MemoryEventStore):
    """Stores one append and loses its answer, which somebody else's work overtakes."""

    meanwhile: list[Callable[[], Awaitable[object]]] = field(default_factory=list)

    async def append(self, *given: Any, **named: Any) -> list[StoredEvent]:
        stored = await super().append(*given, **named)
        if self.meanwhile:
            await self.meanwhile.pop()()
            raise StoreInterrupted
        return stored


async def test_f26_a_failure_recognised_after_a_retry_cancels_no_job_of_the_next_attempt() -> None:
    world = World()
    media_id = await world.transcoding()
    retry = partial(world.dispatch.retry, media_id, f.CREATOR, world.creator)
    store = Interrupted(world.database, [retry])
    outcomes = replace(world.outcomes, store=store)

    after = await outcomes.failed(media_id, f.record_failure(1), f.context("worker:a"))

    assert (after.status, after.attempt) == (Status.TRANSCODING, 2)
    (job_id,) = after.job_ids
    assert world.transcoder.jobs[job_id].phase is JobPhase.QUEUED
