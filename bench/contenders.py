"""The service's own store, and what every contender is: it lives as many lives as it can."""

import asyncio
import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Protocol
from uuid import UUID, uuid4

from bench.database import settings_of
from bench.lives import APPENDS_PER_LIFE, life
from infra.ledger.sealer import Sealer
from infra.postgres.event_store import PostgresEventStore
from infra.postgres.pool import open_pool
from tests import factories as f

CONNECTIONS = 10
"""Of the service's pool, as by default."""
SEALER_IDLE_S = 0.2


class Contender(Protocol):
    """Something that appends."""

    @abstractmethod
    async def rate(self, callers: int, seconds: float) -> float:
        """Appends per second by so many callers at once."""


async def lives_per_second(
    callers: int, seconds: float, live: Callable[[UUID], Awaitable[object]]
) -> float:
    """Callers live one life after the other until the time is up."""
    lived = 0
    began = time.perf_counter()

    async def call() -> None:
        nonlocal lived
        while time.perf_counter() < began + seconds:
            await live(uuid4())
            lived += 1

    await asyncio.gather(*(call() for _ in range(callers)))
    return lived / (time.perf_counter() - began)


class OurStore:
    """The service's store with chain, projection, outbox and queue, its sealer beside it."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    async def rate(self, callers: int, seconds: float) -> float:
        """Appends per second."""
        async with open_pool(self._dsn, CONNECTIONS) as pool:
            sealing = asyncio.create_task(_seal(Sealer(pool, settings_of(self._dsn))))
            try:
                live = partial(_live, PostgresEventStore(pool))
                return APPENDS_PER_LIFE * await lives_per_second(callers, seconds, live)
            finally:
                sealing.cancel()
                with suppress(asyncio.CancelledError):
                    await sealing


async def _live(store: PostgresEventStore, media_id: UUID) -> None:
    for step in life(media_id):
        await store.append(
            media_id, step.version, step.events, step.item, f.context(), command_id=uuid4()
        )


async def _seal(sealer: Sealer) -> None:
    while True:
        if not await sealer.seal_once():
            await asyncio.sleep(SEALER_IDLE_S)
