"""Concurrent appends of one process share transactions, and so the wait for the disk.

A caller that is alone is served at once. While every lane is busy, requests gather; the next free
lane takes them all in one `append_batch`, in which each succeeds or fails by itself. Nothing waits
for company.
"""

import asyncio
import json
from collections import deque
from typing import NamedTuple

import asyncpg

from infra.postgres.pool import Pool
from infra.postgres.queries import sql

LANES = 2
"""Batches under way at once: one is with the disk while the next one is computed."""
MAX_BATCH = 64


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
        self._free_lanes = lanes
        self._waiting: deque[_Waiting] = deque()
        self._running: set[asyncio.Task[None]] = set()

    async def append(self, request: Request) -> list[asyncpg.Record]:
        """The appended rows of `events`; `AppendRefused` or a connection's error otherwise."""
        answer: asyncio.Future[list[asyncpg.Record]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(request, answer))
        if self._free_lanes:
            self._free_lanes -= 1
            lane = asyncio.create_task(self._serve(), name="append lane")
            self._running.add(lane)
            lane.add_done_callback(self._running.discard)
        return await answer

    async def _serve(self) -> None:
        try:
            while self._waiting:
                count = min(len(self._waiting), MAX_BATCH)
                batch = [self._waiting.popleft() for _ in range(count)]
                await self._send([each for each in batch if not each.answer.done()])
        finally:
            self._free_lanes += 1

    async def _send(self, batch: list[_Waiting]) -> None:
        if not batch:
            return
        try:
            rows = await self._pool.fetch(
                sql("append"), json.dumps([each.request._asdict() for each in batch])
            )
        except Exception as error:  # noqa: BLE001 - goes to every caller as it is
            for each in batch:
                if not each.answer.done():
                    each.answer.set_exception(error)
            return
        _answer(batch, rows)


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
