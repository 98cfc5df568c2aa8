"""Messages about jobs: kept first, acted on once, and believed only as far as they go."""

import json
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from domain.failure import ErrorCode
from domain.lifecycle import Status
from domain.media import attempt_id
from domain.ports import Channel, JobPhase, JobState
from gpu_worker.contract import OutputLayout, Report, ReportOutput, WorkerError, WorkerErrorCode
from infra.inbox import MAX_TRIES, PATIENCE_S
from tests import factories as f
from tests.domain.test_unknown_calls import LOST_ANSWER, unanswered
from tests.domain.world import World

JOB = "job-11-u1"


def report(media_id: UUID, status: str, attempt: int = 1, **named: str) -> bytes:
    """A worker's callback."""
    output = ReportOutput(
        media_id=media_id,
        attempt=attempt,
        attempt_id=attempt_id(media_id, attempt),
        type="video",
        **named,  # type: ignore[arg-type]  # keys, as the test names them
    )
    error = WorkerError(code=WorkerErrorCode.ENCODE_FAILED, message="It broke.", retryable=True)
    made = Report.model_validate(
        {
            "job_id": JOB,
            "status": status,
            "output": output,
            "error": error if status == "failed" else None,
        }
    )
    return made.to_json().encode()


async def from_worker(world: World, media_id: UUID, body: bytes, message_id: str = "m1") -> str:
    """The verdict on a worker's callback."""
    attempt = json.loads(body)["output"]["attempt"]
    return await world.desk.take_in(Channel.WORKER, message_id, media_id, attempt, body)


async def from_runpod(world: World, media_id: UUID, job_id: str, attempt: int = 1) -> str:
    """The verdict on RunPod's webhook, once the loop has looked at it."""
    body = json.dumps({"id": job_id, "status": "COMPLETED"}).encode()
    await world.desk.take_in(Channel.RUNPOD, f"{job_id}", media_id, attempt, body)
    await world.desk.process_once()
    return world.database.inbox[Channel.RUNPOD, job_id].verdict or "waits"


async def test_f06_a_message_that_comes_twice_is_acted_on_once(world: World) -> None:
    media_id = await world.transcoding()
    body = report(media_id, "failed")
    verdicts = [await from_worker(world, media_id, body) for _ in range(3)]
    assert verdicts == ["failed"] * 3
    assert world.types(media_id).count("transcoding_failed") == 1


async def test_f05_a_message_that_comes_before_our_own_commit_is_applied_when_it_is_there(
    world: World,
) -> None:
    media_id = await world.transcoding()
    stream = world.database.streams.pop(media_id)
    assert await from_worker(world, media_id, report(media_id, "failed")) == "accepted"
    world.database.advance(timedelta(seconds=2))
    assert await world.desk.process_once()
    world.database.streams[media_id] = stream
    world.database.advance(timedelta(minutes=1))
    assert await world.desk.process_once()
    assert (await world.item(media_id)).status is Status.FAILED
    assert not await world.desk.process_once()


@pytest.mark.parametrize("channel", list(Channel))
async def test_f11_a_message_about_an_attempt_that_never_appears_is_quarantined(
    world: World, channel: Channel
) -> None:
    stranger = uuid4()
    body = report(stranger, "failed")
    assert await world.desk.take_in(channel, "m1", stranger, 1, body) == "accepted"
    for _ in range(MAX_TRIES):
        world.database.advance(timedelta(seconds=PATIENCE_S / 5))
        await world.desk.process_once()
    assert world.database.inbox[channel, "m1"].verdict == "quarantined"
    assert world.database.streams == {}


async def test_f11_a_report_about_an_attempt_that_was_not_requested_yet_waits(
    world: World,
) -> None:
    media_id = await world.transcoding()
    assert await from_worker(world, media_id, report(media_id, "failed", attempt=2)) == "accepted"
    assert (await world.item(media_id)).runs(1)


async def test_f10_a_result_of_an_older_attempt_is_recorded_as_stale(world: World) -> None:
    media_id = await world.failed()
    await world.dispatch.retry(media_id, f.CREATOR, world.creator)
    before = await world.item(media_id)
    for number, status in enumerate(("started", "completed", "failed")):
        body = report(media_id, status)
        assert await from_worker(world, media_id, body, f"m{number}") == "stale"
    assert await from_runpod(world, media_id, JOB) == "stale"
    assert await world.item(media_id) == before


async def test_f12_a_result_that_names_another_creators_keys_fails_the_attempt(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    media_id = await world.transcoding()
    foreign = OutputLayout("mallory", media_id).master
    body = report(media_id, "completed", hls_master_key=foreign)
    assert await from_worker(world, media_id, body) == "failed"
    failed = await world.failure(media_id)
    assert failed.code is ErrorCode.OUTPUT_INVALID
    assert "security" in caplog.text
    assert foreign not in str(await world.store.load(media_id))


async def test_a_message_whose_handling_dies_is_taken_up_by_the_loop(world: World) -> None:
    media_id = await world.transcoding()
    body = report(media_id, "failed")
    received = await world.inbox.receive(Channel.WORKER, "m1", media_id, 1, body)
    assert received.new  # and here the process died
    assert await from_worker(world, media_id, body) == "accepted"
    assert (await world.item(media_id)).runs(1)
    world.database.advance(timedelta(seconds=61))
    assert await world.desk.process_once()
    assert (await world.item(media_id)).status is Status.FAILED


async def test_a_message_that_cannot_be_handled_ends_in_quarantine(world: World) -> None:
    media_id = await world.transcoding()
    await world.inbox.receive(Channel.WORKER, "m1", media_id, 1, b"no report at all")
    for _ in range(MAX_TRIES - 1):
        world.database.advance(timedelta(seconds=61))
        with pytest.raises(ValueError, match="Report"):
            await world.desk.process_once()
    world.database.advance(timedelta(seconds=61))
    assert await world.desk.process_once()
    assert world.database.inbox[Channel.WORKER, "m1"].verdict == "quarantined"
    world.database.advance(timedelta(days=1))
    assert not await world.desk.process_once()


async def test_f04_a_native_webhook_names_the_job_whose_answer_was_lost(world: World) -> None:
    media_id = await unanswered(world)
    ended = JobState(JobPhase.SUCCEEDED, attempt_id=attempt_id(media_id, 1))
    world.transcoder.jobs[LOST_ANSWER] = ended
    assert await from_runpod(world, media_id, LOST_ANSWER) == "asking"
    assert (await world.item(media_id)).job_ids == (LOST_ANSWER,)


async def test_f09_the_job_that_a_native_body_names_is_ignored_where_ours_is_known(
    world: World,
) -> None:
    other, media_id = await world.transcoding(), await world.arrived()
    await world.uploads.complete(media_id, f.CREATOR, world.creator)
    mine = (await world.item(media_id)).job_ids
    world.vendor_says("job-of-another", JobPhase.FAILED, "encode_failed: Not ours.")
    assert await from_runpod(world, media_id, "job-of-another") == "asking"
    assert (await world.item(media_id)).job_ids == mine
    assert (await world.item(other)).runs(1)


@pytest.mark.parametrize(
    "named",
    [
        pytest.param(None, id="the vendor does not know it"),
        pytest.param(JobState(JobPhase.SUCCEEDED, attempt_id=uuid4()), id="of another attempt"),
        pytest.param(JobState(JobPhase.RUNNING), id="of nobody knows which attempt"),
    ],
)
async def test_f09_a_job_that_is_not_shown_to_be_ours_is_not_taken_for_it(
    world: World, named: JobState | None
) -> None:
    media_id = await unanswered(world)
    if named is not None:
        world.transcoder.jobs["job-of-another"] = named
    assert await from_runpod(world, media_id, "job-of-another") == "asking"
    assert (await world.item(media_id)).job_ids == ()


async def test_f09_a_recorded_job_of_another_item_is_not_taken_over(world: World) -> None:
    await world.transcoding()
    world.transcoder.mute = True
    media_id = await world.arrived()
    await world.uploads.complete(media_id, f.CREATOR, world.creator)
    assert await from_runpod(world, media_id, JOB) == "asking"
    assert (await world.item(media_id)).job_ids == ()
