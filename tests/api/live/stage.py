"""Items of several creators that live while streams are read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

from domain.events import Event
from infra.bootstrap import Services
from infra.loops import seal_once
from tests.infra.lives import READY, Life, append

SEAL_EVERY_S = 0.02


def life_of(creator: str, media_id: UUID, life: Life = READY) -> Life:
    """A life as this creator's, with a job of its own."""
    return tuple(tuple(_own(event, creator, media_id) for event in events) for events in life)


def _own(event: Event, creator: str, media_id: UUID) -> Event:
    names = type(event).model_fields
    own = {"creator_id": creator, "runpod_job_id": f"job-{media_id}"}
    return event.model_copy(update={name: own[name] for name in own if name in names})


async def live(services: Services, creator: str, life: Life = READY) -> UUID:
    """One item of the creator's lives."""
    media_id = uuid4()
    for events in life_of(creator, media_id, life):
        await append(services.store, events, media_id)
    return media_id


@asynccontextmanager
async def sealing(services: Services) -> AsyncIterator[None]:
    """What is appended gets its place in the ledger, until the end of the block."""

    async def seal() -> None:
        while True:
            await seal_once(services)
            await asyncio.sleep(SEAL_EVERY_S)

    task = asyncio.create_task(seal())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def sealed_of(services: Services, creator: str) -> list[tuple[int, str, str]]:
    """Place, item and type of every event of the creator's, as the ledger has them."""
    rows = await services.pool.fetch(
        "SELECT l.seq, e.stream_id::text, e.type FROM ledger l JOIN events e USING (position)"
        " JOIN media_items m ON m.id = e.stream_id WHERE m.creator_id = $1 ORDER BY l.seq",
        creator,
    )
    return [tuple(row) for row in rows]
