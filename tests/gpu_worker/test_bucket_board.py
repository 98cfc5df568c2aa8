"""Chunks that several runs of an attempt share over the bucket, and what a dead one has left."""

import asyncio
import json
import logging
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4, uuid5

import pytest

from gpu_worker import chunks, plan
from gpu_worker.bucket import connect
from gpu_worker.bucket_board import BucketBoard, recipe_of
from gpu_worker.chunk_objects import ChunkObjects, ChunkRecord
from gpu_worker.chunked import ChunkedFilm
from gpu_worker.claim import Times
from gpu_worker.claim_objects import If
from gpu_worker.contract import JobInput, chunks_prefix
from gpu_worker.ends import with_ends
from gpu_worker.ffmpeg import Source
from gpu_worker.handler import Worker
from gpu_worker.manifest import Identity
from gpu_worker.probe import probe
from gpu_worker.settings import EncodeSettings, WorkerSettings
from gpu_worker.tools import Tools
from tests.gpu_worker.jobs import CREATOR, environ_of, layout_of, settings_of
from tests.gpu_worker.jobs import Room as Jobs
from tests.gpu_worker.outputs import MEDIA_ID, Room, open_room
from tests.gpu_worker.service import receiver
from tests.gpu_worker.test_chunks import source_of

TIMES = Times(lease_s=3.0, renewal_s=0.1, retry_s=0.1)
JOB = JobInput(
    media_id=MEDIA_ID,
    attempt=1,
    attempt_id=uuid5(MEDIA_ID, "attempt/1"),
    type="video",
    creator_id=CREATOR,
    input_key="creator-1/originals/x/film.mp4",
    input_etag="etag",
    webhook_url="",
)


async def nothing() -> None:
    """No older run writes; and whoever is asked answers at once."""


@dataclass
class Run:
    """One run of the attempt, with a folder of its own."""

    board: BucketBoard
    film: ChunkedFilm
    made: list[int] = field(default_factory=list)
    """The chunks it has encoded."""
    before: Callable[[int], Awaitable[None]] | None = None
    """Called when it begins to encode one."""

    async def encode(self, argv: list[str], place: Path, _hear: Callable[[bytes], None]) -> None:
        number = int(place.name.removeprefix(".chunk-"))
        if self.before is not None:
            await self.before(number)
        self.made.append(number)
        process = await asyncio.create_subprocess_exec(
            *argv, cwd=place, stdout=asyncio.subprocess.DEVNULL
        )
        assert await process.wait() == 0

    def segments(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.film.folder.glob("*.ts")}


Begin = Callable[[str], Awaitable[Run]]


@pytest.fixture(scope="module")
def source(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return source_of("29.97", tools, tmp_path_factory.mktemp("film"))


@pytest.fixture
async def room(s3_endpoint: str, bucket: str) -> AsyncIterator[Room]:
    async with open_room(s3_endpoint, bucket) as opened:
        yield opened


@pytest.fixture
def begin(room: Room, source: Path, tools: Tools, tmp_path: Path) -> Begin:
    """Begins a run under the id of a job: a film of four chunks, the last of two segments."""

    async def begin(job_id: str) -> Run:
        settings = EncodeSettings(x264_preset="superfast")
        wanted = Source(source, settings.max_pixels)
        found = await with_ends(tools, wanted, await probe(tools, wanted))
        job = plan.video_pass(wanted, found, "libx264", settings)
        due = chunks.plan(job.frame_rate, job.length_seconds, 6)
        folder = tmp_path / job_id
        await asyncio.to_thread(folder.mkdir)
        objects = ChunkObjects(room.client, room.name, JOB)
        identity = Identity(job_id, JOB, "pod-7")
        board = BucketBoard(objects, room.uploader(), identity, TIMES, nothing)
        film = ChunkedFilm(tools.ffmpeg, job, due, folder, _refused, 10**9, lambda _share: None)
        run = Run(board, film)
        run.film = replace(film, encode=run.encode)
        return run

    return begin


async def _refused(_argv: list[str], _place: Path, _hear: Callable[[bytes], None]) -> None:
    raise AssertionError


def times(count: int) -> Callable[[], Awaitable[bool]]:
    """Help is wanted so many times."""
    left = iter([True] * count)

    async def wanted() -> bool:
        return next(left, False)

    return wanted


async def test_what_a_helper_made_is_fetched_and_the_rest_is_made(begin: Begin, room: Room) -> None:
    helper, run = await begin("job-2-u1"), await begin("job-1-u1")
    assert await helper.board.help(helper.film, times(2)) == 2
    assert helper.segments() == {}, "its disk is free again"
    prefix = helper.board.identity.layout.prefix
    assert not [key for key in room.contents() if key.startswith(prefix)], "not its to write"
    await run.film.make_on(run.board)
    assert (helper.made, run.made) == ([0, 1], [2, 3])
    stored = {key.rpartition("/")[2]: body for key, body in room.contents().items()}
    assert len(run.segments()) == 5
    for name, content in run.segments().items():
        assert stored[name] == content
    await run.board.clear()
    assert not [key for key in room.contents() if "/chunks/" in key]


async def test_runs_at_once_make_each_chunk_once(begin: Begin) -> None:
    helper, run = await begin("job-2-u1"), await begin("job-1-u1")
    await asyncio.gather(run.film.make_on(run.board), helper.board.help(helper.film, times(9)))
    assert sorted(helper.made + run.made) == [0, 1, 2, 3]
    assert len(run.segments()) == 5


async def test_a_chunk_that_is_not_as_it_was_stored_is_made_again(begin: Begin, room: Room) -> None:
    helper, run = await begin("job-2-u1"), await begin("job-1-u1")
    await helper.board.help(helper.film, times(2))
    first, second = sorted(key for key in room.contents() if key.endswith(".ts"))[:2]
    room.meddler.put_object(Bucket=room.name, Key=first, Body=b"\x47" * 188)
    room.meddler.delete_object(Bucket=room.name, Key=second)
    await run.film.make_on(run.board)
    assert sorted(run.made) == [0, 1, 2, 3]


async def test_a_run_whose_chunk_was_taken_over_stops_and_leaves_it(begin: Begin) -> None:
    run = await begin("job-1-u1")
    objects = run.board.objects
    record = ChunkRecord(
        attempt_id=JOB.attempt_id,
        number=1,
        recipe=recipe_of(run.film),
        job_id="job-3-u1",
        holder=uuid4(),
    )
    lost: list[int] = []

    async def taken_over(number: int) -> None:
        if number != 1 or lost:
            return
        lost.append(number)
        await objects.put(record, If())
        try:
            await asyncio.sleep(60)
        finally:
            await objects.put(record.model_copy(update={"released": True}), If())

    run.before = taken_over
    await run.film.make_on(run.board)
    assert lost == [1]
    assert sorted(run.made) == [0, 1, 2, 3]


async def test_a_machine_with_other_processors_makes_the_same_chunks(begin: Begin) -> None:
    run = await begin("job-1-u1")
    larger = replace(run.film, job=replace(run.film.job, processors=64))
    assert recipe_of(larger) == recipe_of(run.film)


async def test_chunks_of_another_recipe_are_made_again(begin: Begin) -> None:
    helper, run = await begin("job-2-u1"), await begin("job-1-u1")
    helper.film = replace(helper.film, job=replace(helper.film.job, x264_preset="veryfast"))
    await helper.board.help(helper.film, times(1))
    await run.film.make_on(run.board)
    assert sorted(run.made) == [0, 1, 2, 3]


async def test_f16_after_a_kill_only_the_chunks_that_were_not_done_are_made(
    *,
    s3_endpoint: str,
    bucket: str,
    tools: Tools,
    source: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    environ = environ_of(s3_endpoint, bucket, tmp_path) | {
        "CHUNK_MIN_SECONDS": "12",
        "CHUNK_SECONDS": "6",
        "X264_PRESET": "slower",
    }
    with receiver() as service:
        async with connect(settings_of(s3_endpoint, bucket, tmp_path)) as client:
            jobs = Jobs(client, bucket)
            job = await jobs.job(source, "video", service.url)
            wanted = JobInput.model_validate(job["input"])
            objects = ChunkObjects(client, bucket, wanted)
            await _kill_after_first_chunk(job, environ, objects)
            worker = Worker(
                WorkerSettings.from_environ(environ), tools, TIMES._replace(lease_s=6.0)
            )
            again = job | {"id": "job-2-u1"}
            with caplog.at_level(logging.INFO, "gpu_worker"):
                while "superseded" in (result := await worker.handle(again)):  # noqa: ASYNC110
                    await asyncio.sleep(0.3)
            assert result["hlsMasterKey"] == layout_of(job).master, result
            assert "chunk 0 was made by job job-1-u1" in caplog.text
            assert "starting over" not in caplog.text
            manifest = await jobs.whole_output(layout_of(job))
            assert manifest.job_id == "job-2-u1"
            left = chunks_prefix(CREATOR, UUID(job["input"]["mediaId"]))
            assert await jobs.keys(left) == set()


async def _kill_after_first_chunk(
    job: dict[str, Any], environ: dict[str, str], objects: ChunkObjects
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.gpu_worker.one_job", json.dumps(job)),
        env=os.environ | environ,
        stdout=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(60):
        while True:
            found = await objects.read(0)
            if found and found.record and found.record.objects:
                break
            await asyncio.sleep(0.02)
    process.kill()
    await process.wait()


async def test_assistants_make_chunks_of_a_job_that_runs_and_report_nothing(
    *, s3_endpoint: str, bucket: str, tools: Tools, source: Path, tmp_path: Path
) -> None:
    environ = environ_of(s3_endpoint, bucket, tmp_path) | {
        "CHUNK_MIN_SECONDS": "12",
        "CHUNK_SECONDS": "6",
        "X264_PRESET": "slower",
    }
    worker = Worker(WorkerSettings.from_environ(environ), tools)
    with receiver() as service:
        async with connect(settings_of(s3_endpoint, bucket, tmp_path)) as client:
            jobs = Jobs(client, bucket)
            job = await jobs.job(source, "video", service.url)
            assist = {"id": "job-2-u1", "input": job["input"] | {"assist": True}}
            alone = await worker.handle(assist)
            assert (alone["assisted"], alone["chunks"]) == (True, 0)
            assert alone["note"] == "no job of this attempt wants chunks"
            running = asyncio.create_task(worker.handle(job))
            plan_key = f"{chunks_prefix(CREATOR, UUID(job['input']['mediaId']))}1/plan"
            async with asyncio.timeout(60):
                while not await jobs.keys(plan_key):  # noqa: ASYNC110 - it happens elsewhere
                    await asyncio.sleep(0.02)
            helped = await worker.handle(assist)
            assert 1 <= helped["chunks"] <= 3, helped
            assert (await running)["hlsMasterKey"] == layout_of(job).master
            await jobs.whole_output(layout_of(job))
            again = await worker.handle(assist)
            assert again["chunks"] == 0
    assert {post.report["jobId"] for post in service.posts} == {"job-1-u1"}
    wanted = [post.report["progress"].get("assistantsWanted") for post in service.of("progress")]
    assert 3 in wanted
