"""Load over HTTP/1.1: few connections, each with one request under way."""

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from statistics import quantiles
from typing import NamedTuple


class Load(NamedTuple):
    """What a server did in a while."""

    rate: float
    """Answers per second."""
    median_ms: float
    p99_ms: float
    statuses: frozenset[int]


def request(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """A request as it goes out."""
    sent = {"host": "bench", "content-length": str(len(body))} | headers
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {text}" for name, text in sent.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


class _Caller(asyncio.Protocol):
    """Sends the next request when the answer to the last one is whole."""

    def __init__(self, requests: Iterator[bytes], end: float) -> None:
        self._requests, self._end = requests, end
        self._rest = b""
        self._sent = 0.0
        self.times: list[float] = []
        self.statuses: set[int] = set()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._next()

    def _next(self) -> None:
        now = time.perf_counter()
        wanted = next(self._requests, None) if now < self._end else None
        if wanted is None:
            self._transport.close()
            self._finish()
            return
        self._sent = now
        self._transport.write(wanted)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._rest += data
        head, mark, body = self._rest.partition(b"\r\n\r\n")
        if not mark:
            return
        length = 0
        if (at := head.lower().find(b"content-length:")) >= 0:
            length = int(head[at + 15 :].split(b"\r\n", 1)[0])
        if len(body) < length:
            return
        self._rest = body[length:]
        self.times.append(time.perf_counter() - self._sent)
        self.statuses.add(int(head[9:12]))
        self._next()

    def connection_lost(self, _exc: Exception | None) -> None:
        self._finish()

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def load(
    ports: Sequence[int], requests: Iterable[bytes], callers: int, seconds: float
) -> Load:
    """So many connections, spread over the ports, share the requests until they or time run out."""
    shared, loop = iter(requests), asyncio.get_running_loop()
    began = time.perf_counter()
    made = [
        await loop.create_connection(
            lambda: _Caller(shared, began + seconds), "127.0.0.1", ports[number % len(ports)]
        )
        for number in range(callers)
    ]
    await asyncio.gather(*(caller.done for _, caller in made))
    elapsed = time.perf_counter() - began
    times = [each for _, caller in made for each in caller.times]
    statuses = frozenset(status for _, caller in made for status in caller.statuses)
    return summary(times, elapsed, statuses)


def summary(times: Sequence[float], elapsed: float, statuses: frozenset[int]) -> Load:
    """Rate, median and 99th percentile."""
    if len(times) < 2:
        raise RuntimeError(f"{len(times)} answers: {statuses or 'the server hung up'}")
    cuts = quantiles(times, n=100)
    return Load(len(times) / elapsed, cuts[49] * 1000, cuts[98] * 1000, statuses)
