"""Whole jobs over real HTTP: an S3 server, a receiver of callbacks, real clips."""

import asyncio
import hashlib
import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from moto.server import ThreadedMotoServer

from gpu_worker.bucket import connect
from gpu_worker.claim import Times
from gpu_worker.contract import JobInput, Manifest, OutputLayout, ReportOutput
from gpu_worker.handler import Worker
from gpu_worker.sandbox import UNCONFINED, Sandbox
from gpu_worker.settings import WorkerSettings
from gpu_worker.signature import SignatureRefused, verify
from gpu_worker.tools import Tools
from tests.gpu_worker.clips import Clips
from tests.gpu_worker.service import SECRET, Receiver, receiver
from tests.infra.embedded.processes import commands_below, eventually

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

BUCKET = "codex-media"
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
WORK_ENVIRONMENT = {
    "R2_ACCESS_KEY_ID": "key",
    "R2_SECRET_ACCESS_KEY": "secret",
    "R2_REGION": "us-east-1",
    "WEBHOOK_SECRET": SECRET,
    "RUNPOD_POD_ID": "pod-7",
    "ENCODER": "auto",
    "X264_PRESET": "superfast",
    "PROGRESS_INTERVAL_SECONDS": "0.1",
    "CALLBACK_FIRST_DELAY_SECONDS": "0.05",
}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def settings(endpoint: str, tmp_path: Path) -> WorkerSettings:
    return WorkerSettings.from_environ(
        {**WORK_ENVIRONMENT, "R2_ENDPOINT": endpoint, "WORK_DIR": str(tmp_path)}
    )


@pytest.fixture
async def bucket(settings: WorkerSettings) -> AsyncIterator["S3Client"]:
    async with connect(settings) as client:
        await client.create_bucket(Bucket=BUCKET)
        yield client


@pytest.fixture
def service() -> Iterator[Receiver]:
    with receiver() as kept:
        yield kept


@pytest.fixture
def worker(settings: WorkerSettings, tools: Tools) -> Worker:
    return Worker(settings, tools)


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def job_for(client: "S3Client", service: Receiver, path: Path, kind: str) -> dict[str, Any]:
    """Put `path` into the bucket as an original, and make the job for it."""
    media_id = uuid4()
    key = f"creator-1/originals/{media_id}/{path.name}"
    content = await asyncio.to_thread(path.read_bytes)
    put = await client.put_object(Bucket=BUCKET, Key=key, Body=content)
    wanted = JobInput.model_validate(
        {
            "media_id": media_id,
            "attempt": 1,
            "attempt_id": uuid4(),
            "type": kind,
            "creator_id": "creator-1",
            "input_key": key,
            "input_etag": put["ETag"].strip('"'),
            "webhook_url": service.url,
        }
    )
    return {"id": "job-1-u1", "input": json.loads(wanted.to_json())}


def layout_of(job: dict[str, Any]) -> OutputLayout:
    return OutputLayout("creator-1", UUID(job["input"]["mediaId"]))


async def read(client: "S3Client", key: str) -> bytes:
    response = await client.get_object(Bucket=BUCKET, Key=key)
    async with response["Body"] as body:
        content: bytes = await body.read()
    return content


async def keys_under(client: "S3Client", prefix: str) -> set[str]:
    listed = await client.list_objects_v2(Bucket=BUCKET, Prefix=prefix)
    return {item["Key"] for item in listed.get("Contents", [])}


async def test_a_video_job_uploads_everything_and_reports_it_signed(
    worker: Worker, bucket: "S3Client", service: Receiver, clips: Clips, tmp_path: Path
) -> None:
    job = await job_for(bucket, service, clips.sample, "video")
    layout = layout_of(job)
    await bucket.put_object(Bucket=BUCKET, Key=f"{layout.prefix}1080p_007.ts", Body=b"stray")
    job["input"]["traceparent"] = TRACEPARENT
    result = await worker.handle(job)

    stored = await read(bucket, layout.manifest)
    manifest = Manifest.model_validate_json(stored)
    for item in manifest.objects:
        content = await read(bucket, item.key)
        assert (len(content), hashlib.sha256(content).hexdigest()) == (item.size, item.sha256)
        head = await bucket.head_object(Bucket=BUCKET, Key=item.key)
        assert head["ContentType"] == item.content_type
        assert "max-age" in head["CacheControl"]
    listed = {item.key for item in manifest.objects}
    elsewhere = {layout.thumbnail, layout.waveform}
    assert await keys_under(bucket, layout.prefix) | elsewhere == listed | {layout.manifest}, (
        "the stray is gone and nothing is unlisted"
    )
    assert manifest.encoder_note is not None
    assert manifest.encoder_note.startswith("libx264 instead of h264_nvenc: ")
    assert [r.name for r in manifest.renditions] == ["720p", "480p", "360p"]
    assert (manifest.worker, manifest.job_id) == ("pod-7", "job-1-u1")

    for post in service.posts:
        verify([SECRET], post.headers, post.body, time.time())
    with pytest.raises(SignatureRefused):
        verify([SECRET], service.posts[0].headers, b"{}", time.time())
    assert service.statuses() == ["started", "completed"]
    assert service.of("started")[0].report["output"]["encoder"] == "libx264"
    output = ReportOutput.model_validate(service.of("completed")[0].report["output"])
    assert output.hls_master_key == layout.master
    assert (output.thumbnail_key, output.waveform_key) == (layout.thumbnail, layout.waveform)
    assert output.manifest_sha256 == hashlib.sha256(stored).hexdigest()
    assert (output.width, output.height, output.duration_seconds) == (1280, 720, 5.28)
    percents = [p.report["progress"]["percent"] for p in service.of("progress")]
    assert percents, "there was progress"
    assert percents == sorted(percents)
    assert result == json.loads(output.model_copy(update={"timing": None}).to_json())
    assert_timed_and_traced(service, output)
    assert files_in(tmp_path) == [], "nothing is left on the worker's disk"


def assert_timed_and_traced(service: Receiver, output: ReportOutput) -> None:
    """The report says how long the stages took; every callback is of the job's trace and span."""
    assert output.timing is not None
    assert list(output.timing.stage_seconds) == ["download", "probe", "encode", "upload"]
    assert output.timing.stage_seconds["encode"] > 0
    assert output.timing.caused_by == TRACEPARENT
    assert output.timing.traceparent is not None
    assert output.timing.traceparent[:36] == TRACEPARENT[:36]
    assert {post.headers["traceparent"] for post in service.posts} == {output.timing.traceparent}


async def test_an_audio_job_makes_a_waveform_and_has_no_video_encoder(
    worker: Worker, bucket: "S3Client", service: Receiver, clips: Clips
) -> None:
    job = await job_for(bucket, service, clips["mp3"], "audio")
    result = await worker.handle(job)
    layout = layout_of(job)
    assert result["waveformKey"] == layout.waveform
    assert result["encoder"] == "aac"
    assert not {"thumbnailKey", "width", "encoderNote"} & set(result)
    assert json.loads(await read(bucket, layout.waveform))["version"] == 2


async def test_a_text_file_fails_with_a_signed_report_and_a_string(
    worker: Worker, bucket: "S3Client", service: Receiver, clips: Clips
) -> None:
    job = await job_for(bucket, service, clips.text(), "video")
    result = await worker.handle(job)
    assert result["error"].startswith("input_unreadable: This file is not a video or audio file")
    assert service.statuses() == ["started", "failed"]
    error = service.of("failed")[0].report["error"]
    assert (error["code"], error["retryable"]) == ("input_unreadable", False)
    assert await keys_under(bucket, layout_of(job).prefix) == set()


async def test_another_object_under_the_key_is_not_touched(
    worker: Worker, bucket: "S3Client", service: Receiver, clips: Clips
) -> None:
    job = await job_for(bucket, service, clips["wav"], "audio")
    await bucket.put_object(Bucket=BUCKET, Key=job["input"]["inputKey"], Body=b"something else")
    assert (await worker.handle(job))["error"].startswith("input_changed: ")
    await bucket.delete_object(Bucket=BUCKET, Key=job["input"]["inputKey"])
    assert (await worker.handle(job))["error"].startswith("input_changed: ")


async def test_an_empty_object_is_unreadable(
    worker: Worker, bucket: "S3Client", service: Receiver, tmp_path: Path, clips: Clips
) -> None:
    empty = clips.text().with_name("empty.mp4")
    empty.write_bytes(b"")
    job = await job_for(bucket, service, empty, "video")
    assert (await worker.handle(job))["error"].startswith("input_unreadable: ")


async def test_a_receiver_that_fails_twice_still_hears_of_the_end(
    worker: Worker, bucket: "S3Client", service: Receiver, clips: Clips
) -> None:
    job = await job_for(bucket, service, clips["wav"], "audio")
    service.answers = {"completed": [503, 500]}
    await worker.handle(job)
    completed = service.of("completed")
    assert len(completed) == 3
    assert len({post.headers["webhook-id"] for post in completed}) == 1, "known as the same"


async def test_a_receiver_that_refuses_is_not_asked_again_and_the_result_stands(
    worker: Worker, bucket: "S3Client", service: Receiver, clips: Clips
) -> None:
    job = await job_for(bucket, service, clips["wav"], "audio")
    service.answers = {"started": [401], "completed": [401]}
    result = await worker.handle(job)
    assert result["hlsMasterKey"] == layout_of(job).master
    assert len(service.of("completed")) == 1


async def test_cancellation_ends_ffmpeg_and_publishes_nothing(
    worker: Worker, bucket: "S3Client", service: Receiver, clips: Clips, tmp_path: Path
) -> None:
    job = await job_for(bucket, service, clips["long"], "video")
    task = asyncio.create_task(worker.handle(job))

    def encodes() -> bool:
        return any("hls" in words for words in commands_below(os.getpid()))

    assert await eventually(lambda: service.statuses() == ["started"] and encodes(), 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not encodes()
    assert files_in(tmp_path) == []
    left = await keys_under(bucket, layout_of(job).prefix)
    assert all(key.endswith(".ts") for key in left), "segments at most, which nothing names"
    assert service.statuses() == ["started"], "a cancelled job reports nothing"


async def test_a_job_that_takes_too_long_says_so(
    settings: WorkerSettings, tools: Tools, bucket: "S3Client", service: Receiver, clips: Clips
) -> None:
    hurried = Worker(settings.model_copy(update={"max_wall_seconds": 0.9}), tools)
    job = await job_for(bucket, service, clips["long"], "video")
    assert (await hurried.handle(job))["error"].startswith("timed_out: ")
    assert service.statuses()[-1] == "failed"


async def test_each_job_without_isolation_is_told_in_the_log(
    *,
    settings: WorkerSettings,
    tools: Tools,
    bucket: "S3Client",
    service: Receiver,
    clips: Clips,
    caplog: pytest.LogCaptureFixture,
) -> None:
    job = await job_for(bucket, service, clips.text(), "audio")
    for layers in (UNCONFINED, Sandbox(seccomp=True), tools.sandbox):
        caplog.clear()
        await Worker(settings, replace(tools, sandbox=layers)).handle(job)
        told = "a hostile file may reach other files or the network" in caplog.text
        assert told == (layers is not tools.sandbox)


async def test_storage_that_is_gone_is_told_apart(
    settings: WorkerSettings, tools: Tools, bucket: "S3Client", service: Receiver, clips: Clips
) -> None:
    job = await job_for(bucket, service, clips["wav"], "audio")
    elsewhere = settings.model_copy(update={"r2_bucket": "no-such-bucket"})
    result = await Worker(elsewhere, tools).handle(job)
    assert result["error"].startswith("storage_unavailable: ")
    assert service.of("failed")[0].report["error"]["retryable"] is True


async def test_a_job_without_a_proper_input_is_refused_in_words(worker: Worker) -> None:
    result = await worker.handle({"id": "job-2", "input": {"mediaId": "no uuid"}})
    assert result["error"].startswith("job_invalid: ")


async def test_f41_an_attempt_that_was_finished_long_ago_is_reported_and_not_made_again(
    settings: WorkerSettings, tools: Tools, bucket: "S3Client", service: Receiver, clips: Clips
) -> None:
    job = await job_for(bucket, service, clips.sample, "video")
    first = await Worker(settings, tools).handle(job)
    stored = await read(bucket, layout_of(job).manifest)
    await bucket.delete_object(Bucket=BUCKET, Key=job["input"]["inputKey"])
    await asyncio.sleep(5)  # the claim of the first run is over, by clocks of whole seconds
    later = Worker(settings, tools, Times(lease_s=3.0))
    again = await later.handle({**job, "id": "job-2-u1"})
    assert again == first
    assert await read(bucket, layout_of(job).manifest) == stored
    assert service.statuses() == ["started", "completed", "completed"]
