"""One attempt, several runs: whatever happens to them, the bucket has the output of one."""

import asyncio
import json
import os
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid5

import psutil
import pytest

from gpu_worker.bucket import connect
from gpu_worker.claim import Times
from gpu_worker.contract import Claim, claim_key
from gpu_worker.handler import Worker
from gpu_worker.sandbox import UNCONFINED
from gpu_worker.tools import Tools
from tests.faulty_store import FaultyStore, Refusal, Request, faulty_store
from tests.gpu_worker.claims import BRISK, CALM
from tests.gpu_worker.clips import Clips
from tests.gpu_worker.jobs import CREATOR, Room, environ_of, layout_of, settings_of
from tests.gpu_worker.service import Receiver, receiver

PATIENCE_S = 90


@pytest.fixture
async def room(s3_endpoint: str, bucket: str, tmp_path: Path) -> AsyncIterator[Room]:
    async with connect(settings_of(s3_endpoint, bucket, tmp_path)) as client:
        yield Room(client, bucket)


@pytest.fixture
def service() -> Iterator[Receiver]:
    with receiver() as kept:
        yield kept


def script(folder: Path, body: str) -> str:
    path = folder / "ffmpeg"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


class Scene(NamedTuple):
    """A worker whose way to the bucket may be faulty, and what it leaves where."""

    faulty: FaultyStore
    room: Room
    service: Receiver
    clips: Clips
    tools: Tools
    work_dir: Path

    def worker(self, times: Times = CALM) -> Worker:
        settings = settings_of(self.faulty.url, self.room.bucket, self.work_dir)
        return Worker(settings, self.tools, times)

    async def job(self, clip: str, kind: str) -> dict[str, Any]:
        return await self.room.job(self.clips[clip], kind, self.service.url)

    async def claim(self, job: dict[str, Any]) -> Claim:
        return Claim.model_validate_json(await self.room.read(key_of(job)))

    def stuck(self, folder: Path) -> "Scene":
        """The same, with an ffmpeg that leaves `folder/began` and goes on for minutes."""
        program = script(folder, f"touch {folder}/began; sleep 300")
        # In no sandbox: it tells of itself outside its folder.
        return self._replace(tools=replace(self.tools, ffmpeg=program, sandbox=UNCONFINED))


def key_of(job: dict[str, Any]) -> str:
    return claim_key(CREATOR, UUID(job["input"]["mediaId"]), job["input"]["attempt"])


@pytest.fixture
def scene(
    s3_endpoint: str, room: Room, service: Receiver, clips: Clips, tools: Tools
) -> Iterator[Scene]:
    with faulty_store(s3_endpoint) as faulty, tempfile.TemporaryDirectory() as work_dir:
        yield Scene(faulty, room, service, clips, tools, Path(work_dir))


async def seen(happened: threading.Event) -> None:
    assert await asyncio.to_thread(happened.wait, PATIENCE_S)


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


async def encoding(folder: Path) -> None:
    """Return once the stuck ffmpeg runs."""
    async with asyncio.timeout(PATIENCE_S):
        while not (folder / "began").exists():  # noqa: ASYNC110 - it happens elsewhere
            await asyncio.sleep(0.05)


async def test_f17_of_two_runs_of_one_job_one_makes_the_output_and_the_other_stops_at_once(
    scene: Scene,
) -> None:
    job = await scene.job("wav", "audio")
    barrier = threading.Barrier(2, timeout=PATIENCE_S)
    loser_is_out = threading.Event()

    def rule(request: Request) -> None:
        if request.method != "PUT":
            return
        if "/claims/" in request.path and scene.faulty.puts("/claims/").count(request.path) <= 2:
            barrier.wait()
        elif "/hls/" in request.path:
            assert loser_is_out.wait(PATIENCE_S)

    scene.faulty.rule = rule
    runs = {asyncio.create_task(scene.worker().handle(job)) for _ in range(2)}
    (lost,), (won,) = await asyncio.wait(
        runs, return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE_S
    )
    loser_is_out.set()

    assert lost.result() == {
        "superseded": True,
        "mediaId": job["input"]["mediaId"],
        "attemptId": job["input"]["attemptId"],
        "holderJobId": "job-1-u1",
    }
    layout = layout_of(job)
    assert (await won)["hlsMasterKey"] == layout.master
    await scene.room.whole_output(layout)
    uploads = scene.faulty.puts("/hls/")
    assert len(uploads) == len(set(uploads)), "nobody wrote over anybody"
    assert scene.service.statuses() == ["started", "completed"]
    assert not (await scene.claim(job)).released, "it names who made the output"


async def test_f16_after_a_worker_was_killed_mid_upload_the_next_run_makes_the_output_whole(
    scene: Scene,
) -> None:
    job = await scene.job("wav", "audio")
    layout = layout_of(job)
    some_are_up = threading.Event()

    def rule(request: Request) -> Refusal | None:
        if some_are_up.is_set():
            return Refusal(503, "SlowDown") if "/hls/" in request.path else None
        if len(scene.faulty.puts("/hls/")) >= 3:
            some_are_up.set()
            threading.Event().wait(0.5)
        return None

    scene.faulty.rule = rule
    environment = os.environ | environ_of(scene.faulty.url, scene.room.bucket, scene.work_dir)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.gpu_worker.one_job", json.dumps(job), env=environment
    )
    await seen(some_are_up)
    process.kill()
    await process.wait()
    scene.faulty.rule = lambda _request: None
    assert layout.manifest not in await scene.room.keys(layout.prefix)
    assert await scene.room.keys(layout.prefix), "it was in the midst of it"
    stray = f"{layout.prefix}128k_999.ts"
    await scene.room.put(stray, b"of the killed run")

    next_worker = scene.worker(BRISK)
    again = job | {"id": "job-2-u1"}
    async with asyncio.timeout(PATIENCE_S):
        while "superseded" in (result := await next_worker.handle(again)):
            assert result["holderJobId"] == "job-1-u1"
            await asyncio.sleep(0.2)

    assert result["hlsMasterKey"] == layout.master
    assert (await scene.room.whole_output(layout)).job_id == "job-2-u1"
    assert (await scene.claim(job)).job_id == "job-2-u1"


async def test_a_run_that_loses_its_attempt_while_it_encodes_stops_and_reports_nothing(
    scene: Scene, tmp_path: Path
) -> None:
    job = await scene.job("wav", "audio")
    run = asyncio.create_task(scene.stuck(tmp_path).worker().handle(job))
    await encoding(tmp_path)
    media_id = UUID(job["input"]["mediaId"])
    newer = job["input"] | {"attempt": 2, "attemptId": str(uuid5(media_id, "attempt/2"))}
    second = asyncio.create_task(scene.worker().handle({"id": "job-2-u1", "input": newer}))

    result = await asyncio.wait_for(run, PATIENCE_S)

    assert result["holderJobId"] == "job-2-u1"
    assert (await scene.claim(job)).released, "the newer attempt need not wait"
    assert (await asyncio.wait_for(second, PATIENCE_S))["attempt"] == 2
    assert (await scene.room.whole_output(layout_of(job))).attempt == 2
    told = [(post.report["jobId"], post.report["status"]) for post in scene.service.posts]
    assert {status for job_id, status in told if job_id == "job-1-u1"} <= {"started", "progress"}


async def test_a_run_that_loses_its_attempt_kills_its_ffmpeg_and_uploads_nothing(
    scene: Scene, tmp_path: Path
) -> None:
    job = await scene.job("wav", "audio")
    servers = children()
    run = asyncio.create_task(scene.stuck(tmp_path).worker().handle(job))
    await encoding(tmp_path)
    encoders = children() - servers
    claim = await scene.claim(job)
    usurper = claim.model_copy(update={"job_id": "job-2", "holder": UUID(int=2)})
    await scene.room.put(key_of(job), usurper.to_json().encode())

    assert (await asyncio.wait_for(run, PATIENCE_S))["holderJobId"] == "job-2"
    assert encoders
    assert not children() & encoders
    assert scene.faulty.puts("/hls/") == []
    assert not await asyncio.to_thread(os.listdir, scene.work_dir)
    assert scene.service.statuses() == ["started"]
    assert await scene.claim(job) == usurper


@pytest.mark.parametrize(
    ("refusal", "where"),
    [
        (Refusal(507, "InsufficientStorage"), "/hls/"),
        (Refusal(403, "QuotaExceeded"), "/waveforms/"),
        (Refusal(403, "AccessDenied"), "manifest.json"),
        (Refusal(507, "InsufficientStorage"), "/claims/"),
    ],
    ids=lambda value: value.code if isinstance(value, Refusal) else value,
)
async def test_f34_a_bucket_that_is_full_or_refuses_is_no_fault_of_the_media(
    scene: Scene, refusal: Refusal, where: str
) -> None:
    job = await scene.job("wav", "audio")

    def rule(request: Request) -> Refusal | None:
        return refusal if request.method == "PUT" and where in request.path else None

    scene.faulty.rule = rule
    result = await scene.worker().handle(job)

    assert result["error"].startswith("storage_unavailable: ")
    error = scene.service.of("failed")[0].report["error"]
    assert (error["code"], error["retryable"]) == ("storage_unavailable", True)
    assert layout_of(job).manifest not in await scene.room.keys(layout_of(job).prefix)


@pytest.mark.parametrize(
    ("body", "code", "retryable"),
    [
        ("kill -SEGV $$", "input_unsupported", False),
        ("kill -ABRT $$", "input_unsupported", False),
        ("kill -KILL $$", "encode_failed", True),
        ("exit 1", "encode_failed", True),
    ],
)
async def test_f32_media_on_which_ffmpeg_crashes_ends_its_attempt_with_a_code_of_its_own(
    scene: Scene, tmp_path: Path, body: str, code: str, retryable: bool
) -> None:
    """The worker lives on; what kills from outside says nothing of the media."""
    job = await scene.job("wav", "audio")
    tools = replace(scene.tools, ffmpeg=script(tmp_path, body))
    result = await scene._replace(tools=tools).worker().handle(job)

    assert result["error"].startswith(f"{code}: ")
    (failed,) = scene.service.of("failed")
    assert (failed.report["error"]["code"], failed.report["error"]["retryable"]) == (
        code,
        retryable,
    )
    assert (await scene.claim(job)).released


async def test_another_job_of_the_attempt_need_not_wait_after_a_failure_or_a_cancellation(
    scene: Scene,
) -> None:
    job = await scene.job("wav", "audio")
    no = Refusal(403, "AccessDenied")
    scene.faulty.rule = lambda request: no if "/waveforms/" in request.path else None
    assert "error" in await scene.worker().handle(job)
    assert (await scene.claim(job)).released

    uploading, go_on = threading.Event(), threading.Event()

    def hold_back(request: Request) -> None:
        if "/waveforms/" in request.path:
            uploading.set()
            go_on.wait(PATIENCE_S)

    scene.faulty.rule = hold_back
    run = asyncio.create_task(scene.worker().handle(job | {"id": "job-2-u1"}))
    await seen(uploading)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    go_on.set()
    claim = await scene.claim(job)
    assert (claim.job_id, claim.released) == ("job-2-u1", True)

    scene.faulty.rule = lambda _request: None
    assert "error" not in await scene.worker().handle(job | {"id": "job-3-u1"})
    assert (await scene.room.whole_output(layout_of(job))).job_id == "job-3-u1"


async def test_a_job_whose_id_could_not_stand_in_a_path_is_refused(scene: Scene) -> None:
    job = await scene.job("wav", "audio")
    for job_id in ("../x", "", None, "x" * 101):
        result = await scene.worker().handle(job | {"id": job_id})
        assert result["error"].startswith("job_invalid: ")
