"""How fast the API answers, against a bare route and against the event store alone.

    python -m bench.api [--quick]

One PostgreSQL server with fsync on; servers in processes of their own, one and two of each; rounds
in which all take turns. Printed are medians, and ratios of medians with their targets. See
bench/README.md.
"""

import argparse
import asyncio
import json
import os
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack
from itertools import cycle
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple
from uuid import UUID, uuid4

import uvloop

from bench.contenders import CONNECTIONS
from bench.database import open_server
from bench.http import Load, load, request, summary
from bench.printed import ratio
from bench.served import BARE, SERVE, Process, bearer, environ_of, servers
from gpu_worker.signature import sign
from infra.embedded.object_store import BucketKeys, ObjectStore, start_object_store
from infra.embedded.supervisor import Supervisor
from infra.object_storage import S3ObjectStorage, open_storage
from infra.postgres.event_store import PostgresEventStore
from infra.postgres.pool import open_pool
from infra.settings import Settings
from infra.settings import load as load_settings
from tests import factories as f
from tests.api.gpu import Job, completion, manifest_of, outputs
from tests.infra.lives import READY, SUBMITTED, append

CALLERS = 16
ITEMS = 200
"""That are read again and again."""
KEYS = BucketKeys("bench", "bench-secret")
CEILING = "appends"


class Sizes(NamedTuple):
    """How much is measured."""

    rounds: int
    seconds: float
    completions: int
    """Of one turn."""


FULL = Sizes(rounds=5, seconds=1.5, completions=60)
QUICK = Sizes(rounds=1, seconds=0.4, completions=20)

Turn = Callable[[], Coroutine[None, None, Load]]


async def interleaved(rounds: int, turns: Mapping[str, Turn]) -> dict[str, Load]:
    """The medians of each turn; a first round does not count, and every second goes backwards."""
    found: dict[str, list[Load]] = {name: [] for name in turns}
    for number in range(rounds + 1):
        for name in sorted(turns, reverse=bool(number % 2)):
            try:
                done = await turns[name]()
            except RuntimeError as error:
                raise RuntimeError(f"{name}: {error}") from error
            if number:
                found[name].append(done)
    return {name: _median(loads) for name, loads in found.items()}


def _median(loads: list[Load]) -> Load:
    rates, medians, p99s, statuses = zip(*loads, strict=True)
    return Load(median(rates), median(medians), median(p99s), frozenset().union(*statuses))


def lives_of(creator: str, media_id: UUID, life: tuple[tuple[f.e.Event, ...], ...]) -> Iterator:
    """A life as this creator's, with a job of its own."""
    own = {"creator_id": creator, "runpod_job_id": f"job-{media_id}"}
    for events in life:
        yield tuple(
            event.model_copy(
                update={name: own[name] for name in own if name in type(event).model_fields}
            )
            for event in events
        )


async def live(store: PostgresEventStore, life: tuple[tuple[f.e.Event, ...], ...]) -> UUID:
    """One item's life up to somewhere."""
    media_id = uuid4()
    for events in lives_of(f.CREATOR, media_id, life):
        await append(store, events, media_id)
    return media_id


def reading(processes: list[Process], requests: Iterable[bytes], seconds: float) -> Turn:
    """The same requests over and over."""
    ports = [process.port for process in processes]
    return lambda: load(ports, cycle(requests), CALLERS, seconds)


async def appended(dsn: str, seconds: float) -> Load:
    """Registrations that go straight to the event store: what its callers over HTTP can reach."""
    registered = next(lives_of(f.CREATOR, uuid4(), READY))
    times: list[float] = []
    began = time.perf_counter()
    async with open_pool(dsn, CONNECTIONS) as pool:
        store = PostgresEventStore(pool)

        async def call() -> None:
            while (begun := time.perf_counter()) < began + seconds:
                await append(store, registered, uuid4())
                times.append(time.perf_counter() - begun)

        await asyncio.gather(*(call() for _ in range(CALLERS)))

    return summary(times, time.perf_counter() - began, frozenset())


class Finishing:
    """Items whose workers are about to report that they are done, outputs in the bucket."""

    def __init__(self, dsn: str, storage: S3ObjectStorage, settings: Settings) -> None:
        self._dsn, self._storage, self._settings = dsn, storage, settings
        self.ready: list[bytes] = []

    async def prepare(self, count: int) -> None:
        """Make so many."""
        limit = asyncio.Semaphore(32)

        async def one(store: PostgresEventStore) -> bytes:
            async with limit:
                return await self._prepare(store)

        async with open_pool(self._dsn, CONNECTIONS) as pool:
            store = PostgresEventStore(pool)
            self.ready += await asyncio.gather(*(one(store) for _ in range(count)))

    async def _prepare(self, store: PostgresEventStore) -> bytes:
        media_id = await live(store, SUBMITTED)
        job = Job(media_id, 1, f.attempt_id(media_id, 1), f"job-{media_id}", "video", f.CREATOR)
        tree = outputs(job)
        manifest = manifest_of(job, tree).to_json().encode()
        for key, (body, kind) in {**tree, job.layout.manifest: (manifest, "x")}.items():
            await self._storage._client.put_object(
                Bucket=self._settings.r2_bucket, Key=key, Body=body, ContentType=kind
            )
        return completion(job).to_json().encode()

    def _signed(self, body: bytes) -> bytes:
        key, message_id = self._settings.webhook_keys[0], f"msg_{uuid4()}"
        signed = sign(key, message_id, int(time.time()), body)
        return request("POST", "/api/transcoding/webhook", dict(signed), body)

    def turn(self, processes: list[Process], count: int) -> Turn:
        """So many reports."""
        ports = [process.port for process in processes]

        async def report() -> Load:
            some, self.ready = self.ready[:count], self.ready[count:]
            return await load(ports, map(self._signed, some), CALLERS, 60.0)

        return report


def show(name: str, found: Load) -> None:
    """One line."""
    print(
        f"  {name:<26} {found.rate:>8,.0f} /s   median {found.median_ms:6.2f} ms"
        f"   p99 {found.p99_ms:7.2f} ms   {sorted(found.statuses)}"
    )


async def main(sizes: Sizes) -> None:
    """Measure and print."""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.2f} at the start")
    with TemporaryDirectory(prefix="codex-media-bench-") as folder:
        async with (
            open_server() as database,
            Supervisor(Path(folder) / "bucket") as supervisor,
        ):
            dsn = await database.create_migrated("api")
            bucket = await start_object_store(supervisor, KEYS, "bench")
            await _measure(dsn, bucket, sizes)
    print(f"load {os.getloadavg()[0]:.2f} at the end")


async def _measure(dsn: str, bucket: ObjectStore, sizes: Sizes) -> None:
    environ = environ_of(
        dsn,
        BENCH_CREATOR=f.CREATOR,
        R2_ENDPOINT=bucket.endpoint,
        R2_BUCKET=bucket.bucket,
        R2_ACCESS_KEY_ID=KEYS.access_key_id,
        R2_SECRET_ACCESS_KEY=KEYS.secret_access_key,
    )
    async with open_pool(dsn, CONNECTIONS) as pool:
        store = PostgresEventStore(pool)
        items = [await live(store, READY) for _ in range(ITEMS)]
    settings = load_settings(environ)
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(servers(2, environ, *SERVE))
        bare = await stack.enter_async_context(servers(2, environ, *BARE))
        storage = await stack.enter_async_context(open_storage(settings))
        finishing = Finishing(dsn, storage, settings)
        await finishing.prepare(2 * (sizes.rounds + 1) * sizes.completions)
        found = await interleaved(
            sizes.rounds, _turns(dsn, environ, items, ours, bare, finishing, sizes)
        )
    for name, each in found.items():
        show(name, each)
    _compare(found)


def _turns(  # noqa: PLR0917 - what the bench has
    dsn: str,
    environ: Mapping[str, str],
    items: list[UUID],
    ours: list[Process],
    bare: list[Process],
    finishing: Finishing,
    sizes: Sizes,
) -> dict[str, Turn]:
    auth = bearer(environ, f.CREATOR)
    paths = [f"/api/transcoding/status/{media_id}" for media_id in items]
    reads = [request("GET", path, auth) for path in paths]
    # A finished item has no progress: its ETag is its version's.
    known = auth | {"if-none-match": f'"{sum(map(len, READY))}-0"'}
    unchanged = [request("GET", path, known) for path in paths]
    wanted = {"fileName": "holiday.mp4", "contentType": "video/mp4", "size": 1_000_000}
    body = json.dumps(wanted).encode()
    registration = request("POST", "/api/media", auth | {"content-type": "application/json"}, body)
    turns: dict[str, Turn] = {CEILING: lambda: appended(dsn, sizes.seconds)}
    for count in (1, 2):
        some, least = ours[:count], bare[:count]
        turns |= {
            f"bare {count}": reading(least, reads, sizes.seconds),
            f"status {count}": reading(some, reads, sizes.seconds),
            f"304 {count}": reading(some, unchanged, sizes.seconds),
            f"registrations {count}": reading(some, [registration], sizes.seconds),
            f"completions {count}": finishing.turn(some, sizes.completions),
        }
    return turns


def _compare(found: Mapping[str, Load]) -> None:
    for count in (1, 2):
        least = found[f"bare {count}"]
        for name, at_least in (("status", 0.7), ("304", 0.85)):
            ours = found[f"{name} {count}"]
            what = f"{name}, {count} process{'es'[: 2 * (count - 1)]}, to the bare route"
            ratio(f"{what}: rate", ours.rate, least.rate, at_least=at_least)
            ratio(f"{what}: p99", ours.p99_ms, least.p99_ms, at_most=1 / at_least)
        for name in ("registrations", "completions"):
            what = f"{name}, {count} process{'es'[: 2 * (count - 1)]}, to appends without HTTP"
            print(f"{what:<66} {found[f'{name} {count}'].rate / found[CEILING].rate:>12,.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="smaller sizes: a smoke test")
    chosen = QUICK if parser.parse_args().quick else FULL
    uvloop.run(main(chosen))
