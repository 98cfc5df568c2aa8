"""What is published stays published: one manifest an attempt, on an S3 server over HTTP."""

import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID, uuid5

import boto3
import pytest
from botocore.client import BaseClient

from gpu_worker.bucket import connect
from gpu_worker.contract import Manifest, ManifestObject, OutputLayout, WorkerErrorCode
from gpu_worker.errors import JobFailed
from gpu_worker.settings import WorkerSettings
from gpu_worker.uploader import Published, Uploader
from tests.gpu_worker.service import SECRET

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

MEDIA_ID = UUID("0190a1b2-0000-4000-8000-000000000001")
LAYOUT = OutputLayout("creator-1", MEDIA_ID)
KEYS = (LAYOUT.master, f"{LAYOUT.prefix}720p_000.ts")
TYPES = {"m3u8": "application/vnd.apple.mpegurl", "ts": "video/mp2t"}


class Room(NamedTuple):
    """A test's bucket: as the worker has it, and as the test looks into it and meddles with it."""

    client: "S3Client"
    meddler: BaseClient
    name: str

    def uploader(self, check: Callable[[], None] = lambda: None) -> Uploader:
        return Uploader(self.client, self.name, LAYOUT, 4, check)

    def contents(self) -> dict[str, bytes]:
        """Every object, by key."""
        listed = self.meddler.list_objects_v2(Bucket=self.name).get("Contents", [])
        return {item["Key"]: self.read(item["Key"]) for item in listed}

    def read(self, key: str) -> bytes:
        body: bytes = self.meddler.get_object(Bucket=self.name, Key=key)["Body"].read()
        return body

    def put_manifest(self, body: bytes) -> None:
        self.meddler.put_object(Bucket=self.name, Key=LAYOUT.manifest, Body=body)


@pytest.fixture
async def room(s3_endpoint: str, bucket: str) -> AsyncIterator[Room]:
    settings = WorkerSettings.from_environ(
        {
            "R2_ENDPOINT": s3_endpoint,
            "R2_BUCKET": bucket,
            "R2_ACCESS_KEY_ID": "test",
            "R2_SECRET_ACCESS_KEY": "test",
            "R2_REGION": "us-east-1",
            "WEBHOOK_SECRET": SECRET,
        }
    )
    meddler = boto3.client(
        "s3",
        endpoint_url=s3_endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    async with connect(settings) as client:
        yield Room(client, meddler, bucket)
    meddler.close()


class Output(NamedTuple):
    """What one job made."""

    tree: Path
    manifest: Manifest

    @property
    def body(self) -> bytes:
        """Its manifest as stored."""
        return self.manifest.to_json().encode()

    @property
    def published(self) -> Published:
        return Published(self.manifest, hashlib.sha256(self.body).hexdigest())


def output_of(folder: Path, job_id: str, attempt: int = 1) -> Output:
    """The output of a job, with bytes that no other job makes."""
    tree = folder / job_id
    objects = []
    for key in KEYS:
        body = f"{key} by {job_id}".encode()
        (tree / key).parent.mkdir(parents=True, exist_ok=True)
        (tree / key).write_bytes(body)
        objects.append(
            ManifestObject(
                key=key,
                size=len(body),
                sha256=hashlib.sha256(body).hexdigest(),
                md5=hashlib.md5(body, usedforsecurity=False).hexdigest(),
                content_type=TYPES[key.rpartition(".")[2]],
            )
        )
    manifest = Manifest(
        media_id=MEDIA_ID,
        attempt=attempt,
        attempt_id=uuid5(MEDIA_ID, f"attempt/{attempt}"),
        job_id=job_id,
        type="video",
        worker="pod-7",
        encoder="libx264",
        input_key="creator-1/originals/x/holiday.mp4",
        input_etag="etag",
        hls_master_key=LAYOUT.master,
        hls_preview_key=LAYOUT.preview,
        duration_seconds=5.0,
        renditions=(),
        gpu_seconds=1.0,
        probe={},
        objects=tuple(objects),
    )
    return Output(tree, manifest)


async def publish(room: Room, output: Output) -> Published:
    return await room.uploader().publish(output.tree, output.manifest, lambda _share: None)


async def test_a_second_job_of_an_attempt_leaves_the_first_ones_output_as_it_is(
    room: Room, tmp_path: Path
) -> None:
    first, second = output_of(tmp_path, "job-1"), output_of(tmp_path, "job-2")
    assert await publish(room, first) == first.published
    before = room.contents()
    shares: list[float] = []

    told = await room.uploader().publish(second.tree, second.manifest, shares.append)

    assert told == first.published, "the second job reports what is there"
    assert room.contents() == before
    assert shares == [], "nothing was sent"


async def test_an_older_attempts_manifest_stands_until_the_newer_one_replaces_it(
    room: Room, tmp_path: Path
) -> None:
    await publish(room, output_of(tmp_path, "job-1"))
    second = output_of(tmp_path, "job-2", attempt=2)
    attempts: list[int] = []

    def look(_share: float) -> None:
        attempts.append(Manifest.model_validate_json(room.read(LAYOUT.manifest)).attempt)

    assert await room.uploader().publish(second.tree, second.manifest, look) == second.published
    assert attempts == [1] * len(KEYS), "it names its attempt, which is over"
    assert room.read(LAYOUT.manifest) == second.body
    assert room.read(KEYS[1]).endswith(b"by job-2")


async def test_a_late_job_of_an_older_attempt_leaves_the_newer_output_as_it_is(
    room: Room, tmp_path: Path
) -> None:
    newer = output_of(tmp_path, "job-2", attempt=2)
    await publish(room, newer)
    before = room.contents()

    assert await publish(room, output_of(tmp_path, "job-1", attempt=1)) == newer.published
    assert room.contents() == before


async def race(room: Room, mine: Output, rivals_manifest: bytes) -> Published:
    """Publish `mine`; the rival's manifest is there by the time its objects have been sent."""

    def rival(share: float) -> None:
        if share == 1:
            room.put_manifest(rivals_manifest)

    return await room.uploader().publish(mine.tree, mine.manifest, rival)


async def test_of_two_jobs_at_once_the_first_manifest_wins_and_the_other_job_adopts_it(
    room: Room, tmp_path: Path
) -> None:
    winner, loser = output_of(tmp_path, "job-1"), output_of(tmp_path, "job-2")

    assert await race(room, loser, winner.body) == winner.published
    assert room.read(LAYOUT.manifest) == winner.body


async def test_an_older_attempts_manifest_that_arrives_meanwhile_does_not_win(
    room: Room, tmp_path: Path
) -> None:
    late, present = output_of(tmp_path, "job-1"), output_of(tmp_path, "job-2", attempt=2)

    assert await race(room, present, late.body) == present.published
    assert room.read(LAYOUT.manifest) == present.body


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b'{"schemaVersion": 3}', b"endless"])
async def test_a_manifest_that_nobody_can_read_is_replaced(
    room: Room, tmp_path: Path, body: bytes
) -> None:
    output = output_of(tmp_path, "job-1")
    endless = output.body.replace(b'"durationSeconds":5.0', b'"durationSeconds":Infinity')
    room.put_manifest(endless if body == b"endless" else body)

    assert await publish(room, output) == output.published
    assert room.read(LAYOUT.manifest) == output.body


class Permit:
    """Lets a run write so many times; then its claim is lost."""

    def __init__(self, left: int) -> None:
        self.left = left

    def check(self) -> None:
        if self.left == 0:
            raise LOST
        self.left -= 1


LOST = JobFailed(WorkerErrorCode.STORAGE_UNAVAILABLE, "The claim ran out.")
WRITES = 2 * len(KEYS) + 1 + 1
"""The objects, each refused first where an older attempt's is, a stray away, the manifest."""


@pytest.mark.parametrize("allowed", range(WRITES + 1))
async def test_a_run_that_lost_its_claim_changes_nothing_more(
    room: Room, tmp_path: Path, allowed: int
) -> None:
    older = output_of(tmp_path, "job-1")
    stray = f"{LAYOUT.prefix}720p_001.ts"
    await publish(room, older)
    room.meddler.put_object(Bucket=room.name, Key=stray, Body=b"stray")
    before, mine = room.contents(), output_of(tmp_path, "job-2", attempt=2)
    uploading = room.uploader(Permit(allowed).check).publish(
        mine.tree, mine.manifest, lambda _share: None
    )
    if allowed == WRITES:
        assert await uploading == mine.published
        return
    with pytest.raises(JobFailed) as failure:
        await uploading

    assert failure.value is LOST
    after = room.contents()
    changed = {key for key in before.keys() | after if before.get(key) != after.get(key)}
    assert len(changed) <= allowed, "what was under way may have been broken off"


async def test_f16_an_output_of_an_earlier_run_is_overwritten_by_the_run_that_has_the_claim(
    room: Room, tmp_path: Path
) -> None:
    for key in KEYS:
        room.meddler.put_object(Bucket=room.name, Key=key, Body=b"half of an earlier run's")
    made = output_of(tmp_path, "job-1-u1")
    assert await publish(room, made) == made.published
    assert {key: room.read(key) for key in KEYS} == {
        key: (made.tree / key).read_bytes() for key in KEYS
    }


async def test_f17_a_run_that_slept_through_another_ones_work_changes_none_of_it(
    room: Room, tmp_path: Path
) -> None:
    # It looked at its claim, was stopped with every PUT about to be sent, and goes on after all.
    slept, finished = output_of(tmp_path, "job-1-u1"), output_of(tmp_path, "job-2-u1")
    looks = 0

    def check() -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            for key in KEYS:
                body = (finished.tree / key).read_bytes()
                room.meddler.put_object(Bucket=room.name, Key=key, Body=body)
            room.put_manifest(finished.body)
        elif looks > len(KEYS):  # awake again: the lease is over
            raise LOST

    with pytest.raises(JobFailed):
        await room.uploader(check).publish(slept.tree, slept.manifest, lambda _share: None)
    left = {key: (finished.tree / key).read_bytes() for key in KEYS}
    assert room.contents() == left | {LAYOUT.manifest: finished.body}
