"""The worker as the service meets it: objects in the bucket and signed callbacks."""

import hashlib
import time
from typing import NamedTuple
from uuid import UUID, uuid4

import httpx
from botocore.client import BaseClient

from gpu_worker.contract import (
    Manifest,
    ManifestObject,
    MediaType,
    OutputLayout,
    Progress,
    Rendition,
    Report,
    ReportOutput,
    WorkerError,
    WorkerErrorCode,
)
from gpu_worker.signature import sign
from tests.api.service import Service

WEBHOOK = "/api/transcoding/webhook"
MESSAGE = "The encoder stopped half-way."
DURATION_S = 12.5


class Job(NamedTuple):
    """What a worker knows of the job it runs."""

    media_id: UUID
    attempt: int
    attempt_id: UUID
    job_id: str
    type: MediaType
    creator_id: str

    @property
    def layout(self) -> OutputLayout:
        """Where its outputs go."""
        return OutputLayout(self.creator_id, self.media_id)

    @property
    def output(self) -> ReportOutput:
        """The ids every report carries."""
        return ReportOutput(
            media_id=self.media_id,
            attempt=self.attempt,
            attempt_id=self.attempt_id,
            type=self.type,
            worker="worker-a",
        )


class Gpu:
    """A worker without its ffmpeg: writes a small but whole output and reports."""

    def __init__(self, service: Service, s3: BaseClient) -> None:
        self._service = service
        self._s3 = s3

    async def deliver(
        self, body: bytes, message_id: str | None = None, age_s: int = 0, secret: str | None = None
    ) -> httpx.Response:
        """Post `body`, signed as the worker signs."""
        key = secret or self._service.settings.webhook_keys[0]
        headers = sign(key, message_id or f"msg_{uuid4()}", int(time.time()) - age_s, body)
        return await self._service.http.post(WEBHOOK, content=body, headers=headers)

    async def report(self, report: Report, message_id: str | None = None) -> httpx.Response:
        """Post a report."""
        return await self.deliver(report.to_json().encode(), message_id)

    async def start(self, job: Job) -> httpx.Response:
        """Say that the job began."""
        output = job.output.model_copy(update={"encoder": "libx264"})
        return await self.report(Report(job_id=job.job_id, status="started", output=output))

    async def progress(self, job: Job, percent: float, rung: str | None = None) -> httpx.Response:
        """Say how far the job is."""
        progress = Progress(percent=percent, stage="encode", rung=rung)
        return await self.report(
            Report(job_id=job.job_id, status="progress", output=job.output, progress=progress)
        )

    async def fail(
        self, job: Job, code: WorkerErrorCode = WorkerErrorCode.ENCODE_FAILED
    ) -> httpx.Response:
        """Give the job up."""
        return await self.report(failure(job, code))

    async def finish(self, job: Job) -> httpx.Response:
        """Write the outputs and say so."""
        self.write(job)
        return await self.report(completion(job))

    def write(self, job: Job) -> Manifest:
        """Put a whole output into the bucket, the manifest last."""
        tree = outputs(job)
        for key, (body, content_type) in tree.items():
            self.put(key, body, content_type)
        manifest = manifest_of(job, tree)
        self.put(job.layout.manifest, manifest.to_json().encode(), "application/json")
        return manifest

    def put(self, key: str, body: bytes, content_type: str = "application/json") -> None:
        """One object."""
        bucket = self._service.settings.r2_bucket
        self._s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)


async def take_jobs(service: Service) -> list[dict[str, object]]:
    """All jobs in RunPod's queue, as a worker gets them. Those of earlier tests are among them."""
    settings = service.settings
    answer = await service.network.get(
        f"{settings.runpod_base_url}/v2/{settings.runpod_endpoint_id}/job-take-batch/tests",
        params={"batch_size": 1000},
        headers={"authorization": settings.runpod_api_key.get_secret_value()},
    )
    jobs: list[dict[str, object]] = answer.json() if answer.status_code == 200 else []
    return jobs


def failure(job: Job, code: WorkerErrorCode = WorkerErrorCode.ENCODE_FAILED) -> Report:
    """The report of a job that was given up."""
    error = WorkerError(
        code=code, message=MESSAGE, retryable=True, stderr_tail="Conversion failed!"
    )
    return Report(job_id=job.job_id, status="failed", output=job.output, error=error)


def completion(job: Job) -> Report:
    """The report of a finished job."""
    layout = job.layout
    video = job.type == "video"
    output = job.output.model_copy(
        update={
            "hls_master_key": layout.master,
            "hls_preview_key": layout.preview,
            "thumbnail_key": layout.thumbnail if video else None,
            "waveform_key": None if video else layout.waveform,
            "duration_seconds": DURATION_S,
        }
    )
    return Report(job_id=job.job_id, status="completed", output=output)


def _playlist(*segments: str) -> bytes:
    entries = "".join(f"#EXTINF:6.000,\n{segment}\n" for segment in segments)
    head = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:6\n#EXT-X-PLAYLIST-TYPE:VOD\n"
    return f"{head}{entries}#EXT-X-ENDLIST\n".encode()


def outputs(job: Job) -> dict[str, tuple[bytes, str]]:
    """A small output: one rung of two segments, a preview, a poster or a waveform."""
    layout, rung = job.layout, rung_of(job)
    hls, segment = "application/vnd.apple.mpegurl", "video/mp2t"
    master = f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=140000\n{rung}.m3u8\n".encode()
    extra = (
        (layout.thumbnail, (b"a poster", "image/jpeg"))
        if job.type == "video"
        else (layout.waveform, (b"{}", "application/json"))
    )
    return {
        layout.master: (master, hls),
        f"{layout.prefix}{rung}.m3u8": (_playlist(f"{rung}_000.ts", f"{rung}_001.ts"), hls),
        f"{layout.prefix}{rung}_000.ts": (b"segment 0", segment),
        f"{layout.prefix}{rung}_001.ts": (b"segment 1", segment),
        layout.preview: (_playlist("preview_000.ts"), hls),
        f"{layout.prefix}preview/preview_000.ts": (b"the preview", segment),
        extra[0]: extra[1],
    }


def rung_of(job: Job) -> str:
    """The name of the only rung."""
    return "720p" if job.type == "video" else "128k"


def manifest_of(job: Job, tree: dict[str, tuple[bytes, str]]) -> Manifest:
    """The manifest of `tree`."""
    layout, rung = job.layout, rung_of(job)
    video = job.type == "video"
    rendition = Rendition(
        name=rung,
        playlist_key=f"{layout.prefix}{rung}.m3u8",
        codecs="avc1.64001f,mp4a.40.2" if video else "mp4a.40.2",
        bandwidth_bps=140_000,
        average_bandwidth_bps=130_000,
        width=1280 if video else None,
        height=720 if video else None,
    )
    return Manifest(
        media_id=job.media_id,
        attempt=job.attempt,
        attempt_id=job.attempt_id,
        job_id=job.job_id,
        type=job.type,
        worker="worker-a",
        encoder="libx264" if video else "aac",
        input_key=f"{job.creator_id}/originals/{job.media_id}/file",
        input_etag="etag",
        hls_master_key=layout.master,
        hls_preview_key=layout.preview,
        thumbnail_key=layout.thumbnail if video else None,
        waveform_key=None if video else layout.waveform,
        duration_seconds=DURATION_S,
        width=1280 if video else None,
        height=720 if video else None,
        renditions=(rendition,),
        gpu_seconds=4.25,
        probe={},
        objects=tuple(
            ManifestObject(
                key=key,
                size=len(body),
                sha256=hashlib.sha256(body).hexdigest(),
                md5=hashlib.md5(body, usedforsecurity=False).hexdigest(),
                content_type=content_type,
            )
            for key, (body, content_type) in tree.items()
        ),
    )
