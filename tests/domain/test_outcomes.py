"""How an attempt ends by report: the bucket's manifest has the last word."""

from uuid import UUID, uuid4

import pytest

from domain.commands import Outputs
from domain.errors import AccessDenied, TranscoderUnavailable
from domain.failure import ErrorCode
from domain.lifecycle import Status
from domain.media import Failure
from domain.ports import JobPhase, OutputsInvalid
from tests import factories as f
from tests.domain.world import ATTEMPT_WINDOW, World

WORKER = f.context("worker:job-11-u1")
JOB, SECOND_JOB = "job-11-u1", "job-12-u1"


async def test_a_start_is_recorded_once(world: World) -> None:
    media_id = await world.transcoding()
    for _ in range(2):
        item = await world.outcomes.started(media_id, f.record_start(), WORKER)
    assert item.started
    assert world.types(media_id).count("transcoding_started") == 1
    assert (await world.store.load(media_id))[-1].context == WORKER


async def test_a_failure_ends_the_attempt_once(world: World) -> None:
    media_id = await world.transcoding()
    for _ in range(2):
        await world.outcomes.failed(media_id, f.record_failure(), WORKER)
    assert await world.failure(media_id) == Failure(
        ErrorCode.ENCODE_FAILED, "The encoder stopped.", retryable=True
    )
    assert world.types(media_id).count("transcoding_failed") == 1
    assert world.nothing_is_left_to_do()


@pytest.mark.parametrize("outputs", [f.video_outputs(), f.audio_outputs()])
async def test_a_completion_that_the_bucket_bears_out_is_ready(
    world: World, outputs: Outputs
) -> None:
    media_id = await world.transcoding()
    await world.leaves(media_id, outputs)
    for _ in range(2):
        item = await world.outcomes.completed(media_id, 1, JOB, WORKER)
    assert item.status is Status.READY
    assert item.outputs is not None
    assert item.outputs.renditions == outputs.renditions
    assert world.types(media_id)[-1:] == ["transcoding_completed"]
    assert item.version == 5
    assert world.nothing_is_left_to_do()


async def test_a_completion_without_a_start_is_enough(world: World) -> None:
    media_id = await world.transcoding()
    await world.leaves(media_id, f.video_outputs())
    assert not (await world.outcomes.completed(media_id, 1, JOB, WORKER)).started


async def test_a_completion_with_unfit_outputs_fails_with_the_reason(world: World) -> None:
    media_id = await world.transcoding()
    await world.leaves(media_id, OutputsInvalid("720p_003.ts is missing."))
    await world.outcomes.completed(media_id, 1, JOB, WORKER)
    assert await world.failure(media_id) == Failure(
        ErrorCode.OUTPUT_INVALID, "720p_003.ts is missing.", retryable=True
    )


async def test_a_completion_without_a_manifest_is_for_the_vendor_to_confirm(world: World) -> None:
    media_id = await world.transcoding()
    item = await world.outcomes.completed(media_id, 1, JOB, WORKER)
    assert item.runs(1)
    world.vendor_says(JOB, JobPhase.SUCCEEDED)
    job = await world.watchlist.take()
    assert job is not None, "the vendor is asked at once"
    await world.outcomes.reconcile(job)
    failed = await world.failure(media_id)
    assert failed.code is ErrorCode.OUTPUT_INVALID
    assert "no manifest" in failed.message


async def test_the_manifest_of_an_older_attempt_does_not_complete_a_newer_one(
    world: World,
) -> None:
    media_id = await world.transcoding()
    await world.leaves(media_id, f.video_outputs())
    await world.outcomes.failed(media_id, f.record_failure(), WORKER)
    await world.dispatch.retry(media_id, f.CREATOR, world.creator)
    item = await world.outcomes.completed(media_id, 1, JOB, WORKER)
    assert item.runs(2)
    item = await world.outcomes.completed(media_id, 2, "job-21-u1", WORKER)
    assert item.runs(2)


async def test_f10_reports_on_an_older_attempt_change_nothing(world: World) -> None:
    media_id = await world.failed()
    before = await world.dispatch.retry(media_id, f.CREATOR, world.creator)
    assert await world.outcomes.started(media_id, f.record_start(1), WORKER) == before
    assert await world.outcomes.failed(media_id, f.record_failure(1), WORKER) == before
    assert await world.outcomes.completed(media_id, 1, JOB, WORKER) == before


async def test_a_late_completion_does_not_stand_for_the_attempt_that_runs(world: World) -> None:
    media_id = await world.failed()
    await world.dispatch.retry(media_id, f.CREATOR, world.creator)
    await world.leaves(media_id, f.video_outputs())
    assert (await world.outcomes.completed(media_id, 1, JOB, WORKER)).runs(2)


async def test_f07_a_completion_after_a_failure_changes_nothing(world: World) -> None:
    media_id = await world.failed()
    await world.leaves(media_id, f.video_outputs())
    item = await world.outcomes.completed(media_id, 1, JOB, WORKER)
    assert item.status is Status.FAILED


async def test_f07_a_failure_after_a_completion_changes_nothing(world: World) -> None:
    media_id = await world.transcoding()
    await world.leaves(media_id, f.video_outputs())
    await world.outcomes.completed(media_id, 1, JOB, WORKER)
    item = await world.outcomes.failed(media_id, f.record_failure(), WORKER)
    assert item.status is Status.READY


async def with_two_jobs(world: World) -> UUID:
    """An attempt whose first job was thought lost and replaced; the vendor runs both."""
    media_id = await world.transcoding()
    del world.transcoder.jobs[JOB]
    await world.polled()
    await world.dispatched()
    world.vendor_says(JOB, JobPhase.RUNNING)
    assert (await world.item(media_id)).job_ids == (JOB, SECOND_JOB)
    return media_id


async def test_a_lost_job_that_finishes_after_all_cancels_the_one_that_replaced_it(
    world: World,
) -> None:
    media_id = await with_two_jobs(world)
    await world.leaves(media_id, f.video_outputs())
    item = await world.outcomes.completed(media_id, 1, JOB, WORKER)
    assert item.status is Status.READY
    assert world.transcoder.jobs[SECOND_JOB].phase is JobPhase.CANCELLED
    assert world.transcoder.jobs[JOB].phase is JobPhase.RUNNING, "the reporter ends by itself"


async def test_a_failure_cancels_the_other_open_jobs_and_not_the_reporter(world: World) -> None:
    media_id = await with_two_jobs(world)
    second = f.record_failure(1)._replace(runpod_job_id=SECOND_JOB)
    assert (await world.outcomes.failed(media_id, second, WORKER)).status is Status.FAILED
    assert world.transcoder.jobs[JOB].phase is JobPhase.CANCELLED
    assert world.transcoder.jobs[SECOND_JOB].phase is JobPhase.QUEUED
    assert world.nothing_is_left_to_do()


async def test_a_failure_of_one_job_ends_nothing_while_another_may_do_it(world: World) -> None:
    media_id = await with_two_jobs(world)
    assert (await world.outcomes.failed(media_id, f.record_failure(1), WORKER)).runs(1)
    assert world.transcoder.jobs[SECOND_JOB].phase is JobPhase.QUEUED
    assert await world.watchlist.open_jobs(media_id) == [SECOND_JOB]


async def test_a_failure_of_one_job_does_not_undo_what_the_other_has_finished(
    world: World,
) -> None:
    media_id = await with_two_jobs(world)
    world.vendor_says(SECOND_JOB, JobPhase.SUCCEEDED)
    await world.leaves(media_id, f.video_outputs())
    item = await world.outcomes.failed(media_id, f.record_failure(1), WORKER)
    assert item.status is Status.READY


async def test_a_failure_counts_when_the_other_job_is_gone_too(world: World) -> None:
    media_id = await with_two_jobs(world)
    del world.transcoder.jobs[SECOND_JOB]
    await world.outcomes.failed(media_id, f.record_failure(1), WORKER)
    assert (await world.failure(media_id)).code is ErrorCode.ENCODE_FAILED


async def test_an_end_stands_though_the_other_job_cannot_be_cancelled(world: World) -> None:
    media_id = await with_two_jobs(world)
    await world.leaves(media_id, f.video_outputs())
    world.transcoder.refusal = TranscoderUnavailable("RunPod answered 500.")
    item = await world.outcomes.completed(media_id, 1, JOB, WORKER)
    assert item.status is Status.READY
    assert world.nothing_is_left_to_do()


async def test_a_report_on_an_item_that_does_not_exist_is_denied(world: World) -> None:
    with pytest.raises(AccessDenied):
        await world.outcomes.completed(uuid4(), 1, JOB, WORKER)
    with pytest.raises(AccessDenied):
        await world.outcomes.started(uuid4(), f.record_start(), WORKER)


async def test_an_overdue_attempt_without_a_recorded_job_still_counts_by_its_manifest(
    world: World,
) -> None:
    media_id = await world.arrived()
    world.transcoder.refusal = TranscoderUnavailable("the answer to /run was lost")
    await world.uploads.complete(media_id, f.CREATOR, world.creator)
    await world.leaves(media_id, f.video_outputs())
    world.database.advance(ATTEMPT_WINDOW)
    await world.outcomes.expire(media_id)
    assert (await world.item(media_id)).status is Status.READY
