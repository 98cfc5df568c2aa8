"""Whether the upload hides behind the encode: both alone, and both at once."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

import uvicorn

from bench.sink import Sink
from gpu_worker import manifest
from gpu_worker.bucket import connect
from gpu_worker.contract import JobInput
from gpu_worker.early import EarlyUpload, finished_segments
from gpu_worker.manifest import Identity
from gpu_worker.packager import Package, Packager
from gpu_worker.settings import WorkerSettings
from gpu_worker.tools import EncoderChoice, Tools
from gpu_worker.uploader import Uploader

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

MEDIA_ID = UUID("0190a1b2-0000-4000-8000-000000000001")
UPLOAD_SHARE = 0.9
"""Of the encode's time is what the upload alone is made to take."""


class Overlap(NamedTuple):
    """Seconds by the clock."""

    encode_s: float
    upload_s: float
    both_s: float


class _Job(NamedTuple):
    tools: Tools
    settings: WorkerSettings
    source: Path
    identity: Identity

    def room(self, folder: Path) -> Path:
        shutil.rmtree(folder, ignore_errors=True)
        return manifest.make_room(folder, self.identity.layout)

    async def encode(self, folder: Path) -> Package:
        packager = Packager(self.tools, EncoderChoice("libx264"), self.settings)
        made = await packager.package(self.source, "video", self.room(folder), _ignore)
        manifest.settle(folder, self.identity.layout)
        return made

    def uploader(self, client: "S3Client") -> Uploader:
        connections = self.settings.upload_connections
        return Uploader(client, "bench", self.identity.layout, connections, lambda: None)


async def measure(tools: Tools, source: Path, folder: Path) -> Overlap:
    """Encode `source`; upload that to a store that takes about as long; then both at once."""
    async with _store() as (sink, endpoint):
        job = _Job(tools, _settings(endpoint), source, _identity())
        async with connect(job.settings) as client:
            encode_s = await _timed(lambda: job.encode(folder / "alone"))
            made = await job.encode(folder / "alone")
            listed = manifest.build(folder / "alone", made, job.identity, 0.0)
            sink.bytes_per_second = sum(o.size for o in listed.objects) / encode_s / UPLOAD_SHARE
            upload_s = await _timed(
                lambda: job.uploader(client).publish(folder / "alone", listed, _ignore)
            )
            sink.objects.clear()
            both_s = await _timed(lambda: _both(job, client, folder / "both"))
    return Overlap(encode_s, upload_s, both_s)


async def _both(job: _Job, client: "S3Client", folder: Path) -> None:
    uploader, encoded = job.uploader(client), asyncio.Event()
    segments = finished_segments(folder, job.identity.layout.prefix, encoded)
    async with EarlyUpload(uploader, 1, _nobody, segments):
        made = await job.encode(folder)
        listed = manifest.build(folder, made, job.identity, 0.0, uploader.sent)
        encoded.set()
    await uploader.publish(folder, listed, _ignore)


async def _nobody() -> None:
    """There is no older run to wait for."""


def _ignore(_share: float) -> None:
    """Nobody looks at the progress."""


async def _timed(work: Callable[[], object]) -> float:
    started = time.monotonic()
    await work()  # type: ignore[misc]
    return time.monotonic() - started


@asynccontextmanager
async def _store() -> AsyncIterator[tuple[Sink, str]]:
    sink = Sink()
    server = uvicorn.Server(uvicorn.Config(sink.app(), port=0, log_level="warning"))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        yield sink, f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await serving


def _settings(endpoint: str) -> WorkerSettings:
    return WorkerSettings.from_environ(
        {
            "R2_ENDPOINT": endpoint,
            "R2_BUCKET": "bench",
            "R2_ACCESS_KEY_ID": "bench",
            "R2_SECRET_ACCESS_KEY": "bench",
            "WEBHOOK_SECRET": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
        }
    )


def _identity() -> Identity:
    job = JobInput(
        media_id=MEDIA_ID,
        attempt=1,
        attempt_id=MEDIA_ID,
        type="video",
        creator_id="bench",
        input_key="bench/originals/film.mp4",
        input_etag="etag",
        webhook_url="",
    )
    return Identity("bench", job, "bench")
