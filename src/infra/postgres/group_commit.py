"""Concurrent appends of one process share transactions, and so the wait for the disk.

A caller that is alone is served at once. While every lane is busy, requests gather; the next free
lane takes its share of them in one `append_batch`, in which each succeeds or is refused by itself.
A batch that one of them makes fail as a whole is sent again, each by itself. Nothing waits for
company.
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from itertools import accumulate, chain
from typing import NamedTuple
from uuid import UUID

import asyncpg

from domain.personal import PersonalRecord
from gpu_worker.contract_logs import apart
from infra.postgres.pool import UNAVAILABLE, Pool
from infra.postgres.queries import sql

LANES = 2
"""Batches under way at once: one is with the disk while the next one is computed."""
MAX_BATCH = 64
MIN_SHARE = 4
"""Of a lane: a batch costs the server as much as some appends do, so that few are not split up."""
STOPPED: tuple[type[Exception], ...] = (
    *UNAVAILABLE,
    asyncpg.QueryCanceledError,
    asyncpg.CrashShutdownError,
)
"""What ends a batch though none of its requests is at fault: lost connections, time-outs."""

log = logging.getLogger(__name__)


class AppendRefused(Exception):
    """The database refused one append; `sqlstate` says why."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class Envelope(NamedTuple):
    """What all events of an append share, in the order of `append_batch`'s arguments."""

    occurred_at: datetime
    actor: str
    correlation_id: UUID
    causation_id: UUID | None
    traceparent: str | None
    evidence: bytes | None
    projected: str
    """The row of `media_items` after the append, as JSON."""


class Events(NamedTuple):
    """The events of an append, a list for each of `append_batch`'s arguments, in its order."""

    ids: list[UUID]
    types: list[str]
    schema_versions: list[int]
    payloads: list[str]


class Request(NamedTuple):
    """One append."""

    stream_id: UUID
    expected_version: int
    envelope: Envelope
    events: Events
    personal: Sequence[PersonalRecord | None] = ()
    """What each of its events commits to."""


class Written(NamedTuple):
    """What the database added to an appended event."""

    position: int
    recorded_at: datetime
    prev_hash: bytes
    hash: bytes


Answer = list[Written] | None
"""None where the request was sent before: its events are in the stream already."""


class _Waiting(NamedTuple):
    request: Request
    answer: asyncio.Future[Answer]


class GroupCommit:
    """Sends appends, together where several wait."""

    def __init__(self, pool: Pool, lanes: int) -> None:
        self._pool = pool
        self._lanes = lanes
        self._waiting: deque[_Waiting] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._under_way = 0

    async def append(self, request: Request) -> Answer:
        """What became of each event; `AppendRefused` or a connection's error otherwise."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(request, answer))
        self._open_lane()
        return await answer

    def _open_lane(self) -> None:
        if self._waiting and len(self._running) < self._lanes:
            lane = asyncio.create_task(self._serve(), name="append lane", context=apart())
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
            batch = self._take()
            self._under_way += len(batch)
            try:
                await self._send(batch)
            finally:
                self._under_way -= len(batch)
            await asyncio.sleep(0)  # who was answered and appends again goes along

    def _take(self) -> list[_Waiting]:
        """The next batch, without those whose callers have gone.

        A lane that took all there is would leave the others nothing: then either the server waits
        for this process, or this process for the server. While one waits for a lock, the other
        goes on with smaller batches than it could.
        """
        all_lanes = len(self._waiting) + self._under_way
        share = max(MIN_SHARE, math.ceil(all_lanes / self._lanes))
        count = min(len(self._waiting), share, MAX_BATCH)
        batch = [self._waiting.popleft() for _ in range(count)]
        return [each for each in batch if not each.answer.done()]

    async def _send(self, batch: list[_Waiting]) -> None:
        if not batch:
            return
        try:
            requests = [each.request for each in batch]
            arguments, kept = _arguments(requests), _kept(requests)
            name = "append_committing" if kept else "append"
            rows = await self._pool.fetch(sql(name), *arguments, *kept)
        except STOPPED as error:
            _fail(batch, error)
        except asyncpg.PostgresError as error:
            await self._send_apart(batch, error)
        except Exception as error:  # noqa: BLE001 - goes to every caller as it is
            _fail(batch, error)
        else:
            _answer(batch, rows)

    async def _send_apart(self, batch: list[_Waiting], error: asyncpg.PostgresError) -> None:
        """One of them breaks a constraint or cannot be read: the whole batch was rolled back."""
        if len(batch) > 1:
            for each in batch:
                await self._send([each])
        else:
            refusal = AppendRefused(error.sqlstate or "", str(error))
            refusal.__cause__ = error
            _fail(batch, refusal)


def _arguments(requests: Sequence[Request]) -> list[Sequence[object]]:
    """The requests as `append_batch` takes them: an array for each field."""
    lasts = list(accumulate(len(request.events.ids) for request in requests))
    events = zip(*(request.events for request in requests), strict=True)
    return [
        [request.stream_id for request in requests],
        [request.expected_version for request in requests],
        [1, *(last + 1 for last in lasts[:-1])],
        lasts,
        *zip(*(request.envelope for request in requests), strict=True),
        *(list(chain.from_iterable(lists)) for lists in events),
    ]


def _kept(requests: Sequence[Request]) -> list[Sequence[object]]:
    """Request, stream, version, salt and fields of each personal record, as arrays; or nothing."""
    records = [
        (number, request.stream_id, version, *record)
        for number, request in enumerate(requests)
        for version, record in enumerate(request.personal, start=request.expected_version + 1)
        if record is not None
    ]
    return list(zip(*records, strict=True))


def _fail(batch: list[_Waiting], error: Exception) -> None:
    for each in batch:
        if not each.answer.done():
            each.answer.set_exception(error)


def _answer(batch: list[_Waiting], rows: list[asyncpg.Record]) -> None:
    answers: list[Answer] = [[] for _ in batch]
    for request, failure, message, repeated, *written in rows:
        answer = batch[request].answer
        if failure and not answer.done():
            answer.set_exception(AppendRefused(failure, message))
        if repeated:
            answers[request] = None
        elif (appended := answers[request]) is not None:
            appended.append(Written(*written))
    for each, found in zip(batch, answers, strict=True):
        if not each.answer.done():
            each.answer.set_result(found)
