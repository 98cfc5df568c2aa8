"""What a thousand event streams on one process cost, and how late they tell.

    python -m bench.stream [--quick]

One PostgreSQL server with fsync on, one `codex-media serve`, a sealer that works as that of
`codex-media work` does. Printed are the server's memory for each stream, the time from an append's
commit to each client, and the latency of status reads without and with the streams.
"""

import argparse
import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from statistics import median, quantiles
from typing import NamedTuple
from uuid import UUID, uuid4

import psutil
import uvloop

from bench.api import lives_of
from bench.contenders import CONNECTIONS, _seal
from bench.database import open_server
from bench.http import load, request
from bench.printed import ratio
from bench.served import SERVE, Process, bearer, environ_of, server
from infra.ledger.sealer import Sealer
from infra.postgres.event_store import PostgresEventStore
from infra.postgres.pool import open_pool
from infra.settings import load as load_settings
from tests.infra.lives import READY, append

PATH = "/api/transcoding/events"
MIB = 1024 * 1024


class Sizes(NamedTuple):
    """How much is measured."""

    streams: int
    creators: int
    lives_per_second: float
    seconds: float


FULL = Sizes(streams=1_000, creators=100, lives_per_second=8, seconds=15)
QUICK = Sizes(streams=50, creators=10, lives_per_second=8, seconds=2)


class Client(asyncio.Protocol):
    """A stream's reader that notes when it was told of what."""

    def __init__(self, wanted: bytes, told: dict[tuple[str, int], list[float]]) -> None:
        self._wanted, self._told, self._rest = wanted, told, b""
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(self._wanted)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        *blocks, self._rest = (self._rest + data).split(b"\n\n")
        for block in blocks:
            self._block(block, now)

    def _block(self, block: bytes, now: float) -> None:
        if b"event: open" in block and not self.opened.done():
            self.opened.set_result(None)
        if b"event: media" in block:
            told = json.loads(block.rpartition(b"data: ")[2])
            self._told.setdefault((told["media"]["id"], told["version"]), []).append(now)

    def connection_lost(self, _exc: Exception | None) -> None:
        self.lost = True


class Measured(NamedTuple):
    """What a while of events came to."""

    delays_ms: list[float]
    expected: int


def row(what: str, value: float) -> None:
    """One figure."""
    print(f"{what:<34} {value:>11,.1f}")


async def main(sizes: Sizes) -> None:
    """Measure and print."""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.2f} at the start")
    async with open_server() as database:
        dsn = await database.create_migrated("stream")
        most = str(sizes.streams + 10)
        environ = environ_of(dsn, STREAMS_PER_PROCESS=most, STREAMS_PER_CREATOR=most)
        async with server(environ, *SERVE) as served, open_pool(dsn, CONNECTIONS) as pool:
            store = PostgresEventStore(pool)
            sealing = asyncio.create_task(_seal(Sealer(pool, load_settings(environ))))
            await _measure(served, environ, store, sizes)
            sealing.cancel()
    print(f"load {os.getloadavg()[0]:.2f} at the end")


async def _measure(
    served: Process, environ: dict[str, str], store: PostgresEventStore, sizes: Sizes
) -> None:
    creators = [f"creator-{number}" for number in range(sizes.creators)]
    item = await _live(store, creators[0], {})
    alone = await _events_and_reads(served, environ, store, sizes, creators, item, {})
    told: dict[tuple[str, int], list[float]] = {}
    before = psutil.Process(served.pid).memory_info().rss
    async with _streams(served, environ, sizes, creators, told) as clients:
        await asyncio.sleep(1.0)
        idle = psutil.Process(served.pid).memory_info().rss
        print(f"{len(clients)} streams, {sizes.creators} creators")
        row("memory of a stream, KiB", (idle - before) / len(clients) / 1024)
        among = await _events_and_reads(served, environ, store, sizes, creators, item, told)
        after = psutil.Process(served.pid).memory_info().rss
        row("the same after the events, KiB", (after - before) / len(clients) / 1024)
        row("the process, MiB", after / MIB)
        lost = sum(client.lost for client in clients)
    measured = among.measured
    cuts = quantiles(measured.delays_ms, n=100)
    row("messages that should be told", measured.expected)
    row("messages told", len(measured.delays_ms))
    row("streams lost", lost)
    print(
        f"from commit to client              median {median(measured.delays_ms):.0f} ms, "
        f"p99 {cuts[98]:.0f} ms, last {max(measured.delays_ms):.0f} ms"
    )
    for name, each in (("without streams", alone), ("with them", among)):
        print(
            f"status reads {name:<22} median {each.median_ms:.1f} ms, p99 {each.p99_ms:.1f} ms, "
            f"{each.rate:,.0f} /s"
        )
    ratio("p99 of status reads, with streams to without", among.p99_ms, alone.p99_ms, at_most=2)


class Meanwhile(NamedTuple):
    """What clients saw, and what others did at the same time."""

    measured: Measured
    rate: float
    median_ms: float
    p99_ms: float


async def _events_and_reads(  # noqa: PLR0917 - what the bench has
    served: Process,
    environ: dict[str, str],
    store: PostgresEventStore,
    sizes: Sizes,
    creators: list[str],
    item: UUID,
    told: dict[tuple[str, int], list[float]],
) -> Meanwhile:
    committed: dict[tuple[str, int], float] = {}
    read = request("GET", f"/api/transcoding/status/{item}", bearer(environ, creators[0]))

    async def unhurried() -> None:
        end, number = time.perf_counter() + sizes.seconds, 0
        async with asyncio.TaskGroup() as group:
            while time.perf_counter() < end:
                creator = creators[number % len(creators)]
                group.create_task(_live(store, creator, committed))
                number += 1
                await asyncio.sleep(1 / sizes.lives_per_second)

    living = asyncio.create_task(unhurried())
    reads = [
        await load([served.port], [read] * 20, 1, 5.0)
        for _ in range(int(sizes.seconds * 2))
        if not await asyncio.sleep(0.3)
    ]
    await living
    await asyncio.sleep(2.0)
    delays = [(at - moment) * 1000 for key, moment in committed.items() for at in told.get(key, [])]
    streams_of_each = sizes.streams // sizes.creators
    return Meanwhile(
        Measured(delays, len(committed) * streams_of_each),
        median(each.rate for each in reads),
        median(each.median_ms for each in reads),
        median(each.p99_ms for each in reads),
    )


async def _live(
    store: PostgresEventStore, creator: str, committed: dict[tuple[str, int], float]
) -> UUID:
    media_id, version = uuid4(), 0
    for events in lives_of(creator, media_id, READY):
        await append(store, events, media_id)
        for _ in events:
            version += 1
            committed[str(media_id), version] = time.perf_counter()
    return media_id


@asynccontextmanager
async def _streams(
    served: Process,
    environ: dict[str, str],
    sizes: Sizes,
    creators: list[str],
    told: dict[tuple[str, int], list[float]],
) -> AsyncIterator[list[Client]]:
    loop, made = asyncio.get_running_loop(), []
    for number in range(sizes.streams):
        wanted = request("GET", PATH, bearer(environ, creators[number % len(creators)]))
        made.append(
            await loop.create_connection(lambda: Client(wanted, told), "127.0.0.1", served.port)  # noqa: B023 - called at once
        )
    clients = [client for _, client in made]
    async with asyncio.timeout(60):
        await asyncio.gather(*(client.opened for client in clients))
    yield clients
    for transport, _ in made:
        transport.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="smaller sizes: a smoke test")
    uvloop.run(main(QUICK if parser.parse_args().quick else FULL))
