"""The worker on a machine of RunPod's: its real handler, claim, uploader and callbacks.

Only the conversion is made up: it takes time, and a file comes out good, bad or not at all.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextvars import ContextVar
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
from pydantic import SecretStr

from gpu_worker.bucket import STORAGE_ERRORS, code_of, unavailable
from gpu_worker.callback import Reporter
from gpu_worker.contract import (
    Manifest,
    ManifestObject,
    OutputLayout,
    Rendition,
    ReportOutput,
    WorkerErrorCode,
)
from gpu_worker.early import Finished
from gpu_worker.errors import JobFailed
from gpu_worker.handler import Produced, Worker
from gpu_worker.manifest import Identity
from gpu_worker.tools import EncoderChoice
from tests.simulate.bucket import S3Client
from tests.simulate.processes import Life, now_s

if TYPE_CHECKING:
    from tests.simulate.world import World

ON: "ContextVar[tuple[World, Life]]" = ContextVar("ON")
"""The machine that the running worker is on."""


def connect(_settings: Any) -> S3Client:
    """What the worker's `connect` is in a schedule."""
    world, life = ON.get()
    return S3Client(world, world.lines["worker-bucket"], life, tries=5)


class CallbackClient:
    """What httpx's client is for the worker: it posts its callbacks over the schedule's network."""

    def __init__(self, **_given: Any) -> None: ...

    async def __aenter__(self) -> "CallbackClient":
        return self

    async def __aexit__(self, *_error: object) -> None: ...

    async def post(self, _url: str, **given: Any) -> Any:
        headers, content = given["headers"], given["content"]
        world, _life = ON.get()
        world.captured_callbacks.append((headers, content))
        answer = await world.network.post("worker", headers, content, 10.0)
        if answer is None:
            raise httpx.ReadTimeout("no answer")
        return SimpleNamespace(status_code=answer.status)


def machine_worker(world: "World", life: Life) -> Worker:
    """A worker on a machine that has just started."""
    return _Worker(world, life)


class _Tree:
    """What stands for the folder of a finished conversion: bytes by key."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    def __truediv__(self, key: str) -> Any:
        return SimpleNamespace(read_bytes=lambda: self.files[key])


class _Worker(Worker):
    def __init__(self, world: "World", life: Life) -> None:
        self._world, self._life = world, life
        self._settings: Any = SimpleNamespace(
            r2_bucket="media",
            runpod_pod_id=life.host.name,
            webhook_secret=SecretStr(world.worker_secret),
            callback_first_delay_seconds=1.0,
            progress_interval_seconds=1e6,
            max_wall_seconds=3600.0,
            upload_connections=1,
            work_dir=None,
        )
        tools: Any = SimpleNamespace(sandbox=SimpleNamespace(confines=True))
        super().__init__(self._settings, tools)
        self._encoder = EncoderChoice("libx264")

    async def handle(self, job: Any) -> Any:
        ON.set((self._world, self._life))
        result = await super().handle(job)
        about = job["input"]["mediaId"], job["input"]["attempt"]
        if result.get("superseded"):
            self._world.count("F02: a run left its attempt to another")
            self._world.excuse(*about, "spent")
        return result

    async def _run_in_time(self, identity: Identity, reporter: Reporter) -> ReportOutput:
        try:
            return await super()._run_in_time(identity, reporter)
        except JobFailed as failure:  # It may take long until its report is heard.
            if failure.code is WorkerErrorCode.STORAGE_UNAVAILABLE:
                self._world.excuse(identity.job.media_id, identity.job.attempt, "spent")
            raise

    async def _produce(
        self, client: Any, room: Path, identity: Identity, board: Any, sent: Any
    ) -> Produced:
        del room, board, sent
        started = now_s()
        body = await self._download(client, identity)
        await asyncio.sleep(self._world.weather.conversion_s())
        if body.startswith(b"BAD"):
            raise JobFailed(WorkerErrorCode.INPUT_UNREADABLE, "This file cannot be read.")
        if self._world.chance.happens(self._world.weather.encoder_fails):
            self._world.excuse(identity.job.media_id, identity.job.attempt, "encoder")
            raise JobFailed(WorkerErrorCode.ENCODE_FAILED, "The encoder stopped.", "Broken pipe")
        files = _files(identity)
        tree: Any = _Tree(files)
        return Produced(tree, _manifest(identity, files, now_s() - started, "libx264"))

    async def _segments(
        self, room: Path, identity: Identity, encoded: asyncio.Event
    ) -> AsyncIterator[Finished]:
        del room
        await asyncio.sleep(self._world.weather.conversion_s() / 2)
        key = f"{identity.layout.prefix}{_name(identity)}_000.ts"
        body = _files(identity)[key]
        yield Finished(key, lambda: body)
        await encoded.wait()

    async def _download(self, client: Any, identity: Identity) -> bytes:
        job = identity.job
        try:
            found = await client.get_object(Key=job.input_key, IfMatch=job.input_etag)
        except STORAGE_ERRORS as error:
            if code_of(error) in {"NoSuchKey", "PreconditionFailed"}:
                raise JobFailed(WorkerErrorCode.INPUT_CHANGED, "The file was replaced.") from error
            raise unavailable(error) from error
        return await found["Body"].read()


def _name(identity: Identity) -> str:
    return "720p" if identity.job.type == "video" else "128k"


def _files(identity: Identity) -> dict[str, bytes]:
    layout, video = identity.layout, identity.job.type == "video"
    name = _name(identity)
    by = f"{identity.job_id} {identity.worker}".encode()
    files = {
        layout.master: b"#EXTM3U " + by,
        layout.preview: b"#EXTM3U preview " + by,
        f"{layout.prefix}{name}.m3u8": b"#EXTM3U 720p " + by,
        f"{layout.prefix}{name}_000.ts": b"G0 " + by,
        f"{layout.prefix}{name}_{identity.job.attempt:03}.ts": b"G1 " + by,
        layout.thumbnail if video else layout.waveform: b"picture " + by,
    }
    return dict(sorted(files.items()))


def _manifest(
    identity: Identity, files: dict[str, bytes], gpu_seconds: float, encoder: Any
) -> Manifest:
    layout, job, video = identity.layout, identity.job, identity.job.type == "video"
    return Manifest(
        media_id=job.media_id,
        attempt=job.attempt,
        attempt_id=job.attempt_id,
        job_id=identity.job_id,
        type=job.type,
        worker=identity.worker,
        encoder=encoder if video else "aac",
        input_key=job.input_key,
        input_etag=job.input_etag,
        hls_master_key=layout.master,
        hls_preview_key=layout.preview,
        thumbnail_key=layout.thumbnail if video else None,
        waveform_key=None if video else layout.waveform,
        duration_seconds=12.5,
        width=1280 if video else None,
        height=720 if video else None,
        renditions=(_rendition(layout, video),),
        gpu_seconds=round(gpu_seconds, 3),
        probe={"format": {}},
        objects=tuple(_listed(key, body) for key, body in files.items()),
    )


def _rendition(layout: OutputLayout, video: bool) -> Rendition:
    name = "720p" if video else "128k"
    return Rendition(
        name=name,
        playlist_key=f"{layout.prefix}{name}.m3u8",
        codecs="avc1.64001f,mp4a.40.2" if video else "mp4a.40.2",
        bandwidth_bps=2_750_000,
        average_bandwidth_bps=2_500_000,
        width=1280 if video else None,
        height=720 if video else None,
        frame_rate=25 if video else None,
    )


def _listed(key: str, body: bytes) -> ManifestObject:
    kinds = {"m3u8": "application/vnd.apple.mpegurl", "jpg": "image/jpeg", "ts": "video/mp2t"}
    return ManifestObject(
        key=key,
        size=len(body),
        sha256=hashlib.sha256(body).hexdigest(),
        md5=hashlib.md5(body, usedforsecurity=False).hexdigest(),
        content_type=kinds.get(key.rpartition(".")[2], "application/json"),
    )
