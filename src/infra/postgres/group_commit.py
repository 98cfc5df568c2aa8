"""Concurrent appends of one process share transactions, and so the wait for the disk.

A caller that is alone is served at once. While every lane is busy, requests gather; the next free
lane takes them all in one `append_batch`, in which each succeeds or fails by itself. Nothing waits
for company.
"""

import asyncio
import json
import logging
from collections import deque
from typing import NamedTuple

import asyncpg

from infra.postgres.pool import Pool
from infra.postgres.queries import sql

LANES = 2
"""Batches under way at once: one is with the disk while the next one is computed."""
MAX_BATCH = 64

log = logging.getLogger(__name__)


class AppendRefused(Exception):
    """The database refused one append; `sqlstate` says why."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class Request(NamedTuple):
    """The arguments of `append_events`, in its order."""

    stream_id: str
    expected_version: int
    event_ids: list[str]
    types: list[str]
    schema_versions: list[int]
    payloads: list[str]
    occurred_at: str
    actor: str
    correlation_id: str
    causation_id: str | None
    traceparent: str | None
    evidence: str | None
    projected: dict[str, object]


class _Waiting(NamedTuple):
    request: Request
    answer: asyncio.Future[list[asyncpg.Record]]


class GroupCommit:
    """Sends appends, together where several wait."""

    def __init__(self, pool: Pool, lanes: int = LANES) -> None:
        self._pool = pool
        self._lanes = lanes
        self._waiting: deque[_Waiting] = deque()
        self._running: set[asyncio.Task[None]] = set()

    async def append(self, request: Request) -> list[asyncpg.Record]:
        """The appended rows of `events`; `AppendRefused` or a connection's error otherwise."""
        answer: asyncio.Future[list[asyncpg.Record]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(request, answer))
        self._open_lane()
        return await answer

    def _open_lane(self) -> None:
        if self._waiting and len(self._running) < self._lanes:
            lane = asyncio.create_task(self._serve(), name="append lane")
            self._running.add(lane)
            lane.add_done_callback(self._close_lane)

    def _close_lane(self, lane: "asyncio.Task[None]") -> None:
        self._running.discard(lane)
        if not lane.cancelled() and (error := lane.exception()):
            log.error("an append lane ended", exc_info=error)
        if not lane.cancelled():
            self._open_lane()

    async def _serve(self) -> None:
        while self._waiting:
            await self._send(self._take())
            await asyncio.sleep(0)  # who was answered and appends again goes along

    def _take(self) -> list[_Waiting]:
        """The next batch, without those whose callers have gone."""
        count = min(len(self._waiting), MAX_BATCH)
        batch = [self._waiting.popleft() for _ in range(count)]
        return [each for each in batch if not each.answer.done()]

    async def _send(self, batch: list[_Waiting]) -> None:
        if not batch:
            return
        try:
            requests = json.dumps([each.request._asdict() for each in batch])
            rows = await self._pool.fetch(sql("append"), requests)
        except Exception as error:  # noqa: BLE001 - goes to every caller as it is
            _fail(batch, error)
            return
        _answer(batch, rows)


def _fail(batch: list[_Waiting], error: Exception) -> None:
    for each in batch:
        if not each.answer.done():
            each.answer.set_exception(error)


def _answer(batch: list[_Waiting], rows: list[asyncpg.Record]) -> None:
    appended: dict[int, list[asyncpg.Record]] = {place: [] for place in range(len(batch))}
    for row in rows:
        answer = batch[row["request"]].answer
        if row["failure"] and not answer.done():
            answer.set_exception(AppendRefused(row["failure"], row["message"]))
        appended[row["request"]].append(row["appended"])
    for place, each in enumerate(batch):
        if not each.answer.done():
            each.answer.set_result(appended[place])
