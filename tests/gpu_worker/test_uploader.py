"""What is published stays published: one manifest an attempt, on an S3 server over HTTP."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gpu_worker.contract import Manifest, WorkerErrorCode
from gpu_worker.errors import JobFailed
from gpu_worker.uploader import Published
from tests.gpu_worker.outputs import KEYS, LAYOUT, Output, Room, open_room, output_of


@pytest.fixture
async def room(s3_endpoint: str, bucket: str) -> AsyncIterator[Room]:
    async with open_room(s3_endpoint, bucket) as opened:
        yield opened


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
        else:  # awake again: the lease is over
            raise LOST

    with pytest.raises(JobFailed):
        await room.uploader(check).publish(slept.tree, slept.manifest, lambda _share: None)
    left = {key: (finished.tree / key).read_bytes() for key in KEYS}
    assert room.contents() == left | {LAYOUT.manifest: finished.body}
