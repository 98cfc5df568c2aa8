"""How an attempt ends that nobody reported: by poll or by deadline."""

from datetime import timedelta

import pytest

from domain.errors import TranscoderUnavailable
from domain.failure import ErrorCode
from domain.lifecycle import Status
from domain.ports import JobPhase, OutputsInvalid, WatchedJob
from tests import factories as f
from tests.domain.world import ATTEMPT_WINDOW, World

JOB, SECOND_JOB = "job-11-u1", "job-12-u1"


@pytest.mark.parametrize("phase", [JobPhase.QUEUED, JobPhase.RUNNING])
async def test_a_job_that_may_still_end_is_asked_about_again(world: World, phase: JobPhase) -> None:
    media_id = await world.transcoding()
    world.vendor_says(JOB, phase)
    await world.leaves(media_id, f.video_outputs())
    assert await world.polled() == await world.polled() == WatchedJob(JOB, media_id, 1)
    assert (await world.item(media_id)).version == 4


async def test_f13_a_success_that_nobody_reported_is_found(world: World) -> None:
    media_id = await world.transcoding()
    world.vendor_says(JOB, JobPhase.SUCCEEDED)
    await world.leaves(media_id, f.video_outputs())
    await world.polled()
    assert (await world.item(media_id)).status is Status.READY
    assert (await world.store.load(media_id))[-1].context.actor == "system:reconciler"
    assert await world.polled() is None


async def test_a_success_without_outputs_is_invalid(world: World) -> None:
    media_id = await world.transcoding()
    world.vendor_says(JOB, JobPhase.SUCCEEDED)
    await world.polled()
    assert (await world.failure(media_id)).code is ErrorCode.OUTPUT_INVALID


async def test_a_success_with_unfit_outputs_fails_with_the_reason(world: World) -> None:
    media_id = await world.transcoding()
    world.vendor_says(JOB, JobPhase.SUCCEEDED)
    await world.leaves(media_id, OutputsInvalid("master.m3u8 has another size."))
    await world.polled()
    assert (await world.failure(media_id)).message == "master.m3u8 has another size."


@pytest.mark.parametrize(
    ("phase", "error", "code", "message"),
    [
        (
            JobPhase.FAILED,
            "no_media_stream: The file has no picture: only subtitles.",
            ErrorCode.NO_MEDIA_STREAM,
            "The file has no picture: only subtitles.",
        ),
        (JobPhase.TIMED_OUT, "executionTimeout exceeded", ErrorCode.TIMED_OUT, "longer than"),
    ],
)
async def test_the_vendors_failure_becomes_ours(
    world: World, phase: JobPhase, error: str | None, code: ErrorCode, message: str
) -> None:
    media_id = await world.transcoding()
    world.vendor_says(JOB, phase, error)
    await world.polled()
    failed = await world.failure(media_id)
    assert failed.code is code
    assert message in failed.message
    assert world.nothing_is_left_to_do()


@pytest.mark.parametrize("error", ["CUDA: out of memory", "encode_failed", None])
async def test_f32_a_job_that_its_worker_did_not_survive_is_sent_once_more(
    world: World, error: str | None
) -> None:
    media_id = await world.transcoding()
    world.vendor_says(JOB, JobPhase.FAILED, error)
    await world.polled()
    assert (await world.item(media_id)).runs(1)
    await world.dispatched()
    world.vendor_says(SECOND_JOB, JobPhase.FAILED, error)
    await world.polled()
    assert (await world.failure(media_id)).code is ErrorCode.WORKER_LOST
    assert len(world.transcoder.submitted) == 2
    assert world.nothing_is_left_to_do()


async def test_the_vendors_words_are_cut_to_a_sentences_length(world: World) -> None:
    media_id = await world.transcoding()
    world.vendor_says(JOB, JobPhase.FAILED, "encode_failed: " + "x" * 10_000)
    await world.polled()
    assert (await world.failure(media_id)).message == "x" * 500


@pytest.mark.parametrize("phase", [JobPhase.FAILED, JobPhase.TIMED_OUT, JobPhase.CANCELLED])
async def test_outputs_in_the_bucket_outweigh_what_the_vendor_says(
    world: World, phase: JobPhase
) -> None:
    media_id = await world.transcoding()
    world.vendor_says(JOB, phase, "the result could not be posted")
    await world.leaves(media_id, f.video_outputs())
    await world.polled()
    assert (await world.item(media_id)).status is Status.READY


async def test_f14_a_job_that_the_vendor_forgot_after_its_work_is_ready(world: World) -> None:
    media_id = await world.transcoding()
    del world.transcoder.jobs[JOB]
    await world.leaves(media_id, f.video_outputs())
    await world.polled()
    assert (await world.item(media_id)).status is Status.READY


async def lose(world: World, job_id: str) -> None:
    del world.transcoder.jobs[job_id]
    await world.polled()
    await world.dispatched()


async def test_f14_a_lost_job_is_sent_again_within_its_attempt(world: World) -> None:
    media_id = await world.transcoding()
    await lose(world, JOB)
    item = await world.item(media_id)
    assert (item.attempt, item.job_ids) == (1, (JOB, SECOND_JOB))
    assert [job.attempt_id for job in world.transcoder.submitted] == [item.attempt_id] * 2
    assert await world.watchlist.open_jobs(media_id) == [SECOND_JOB]


async def test_a_cancelled_job_is_a_lost_one(world: World) -> None:
    media_id = await world.transcoding()
    world.vendor_says(JOB, JobPhase.CANCELLED)
    await world.polled()
    assert list(world.database.outbox) == [(media_id, 1)]
    assert await world.watchlist.open_jobs(media_id) == []


async def test_f14_a_job_lost_twice_fails_the_attempt(world: World) -> None:
    media_id = await world.transcoding()
    await lose(world, JOB)
    await lose(world, SECOND_JOB)
    failed = await world.failure(media_id)
    assert (failed.code, failed.retryable) == (ErrorCode.WORKER_LOST, True)
    assert "could finish it" in failed.message
    assert len(world.transcoder.submitted) == 2
    assert world.nothing_is_left_to_do()


async def test_the_loss_of_a_job_that_was_replaced_already_changes_nothing(world: World) -> None:
    media_id = await world.transcoding()
    await lose(world, JOB)
    await world.outcomes.reconcile(WatchedJob(JOB, media_id, 1))
    assert (await world.item(media_id)).job_ids == (JOB, SECOND_JOB)
    assert world.database.outbox == {}
    assert await world.watchlist.open_jobs(media_id) == [SECOND_JOB]


@pytest.mark.parametrize("phase", [JobPhase.FAILED, JobPhase.TIMED_OUT, JobPhase.CANCELLED])
async def test_the_end_of_a_job_that_was_replaced_ends_its_watch_alone(
    world: World, phase: JobPhase
) -> None:
    media_id = await world.transcoding()
    await lose(world, JOB)
    world.database.jobs[JOB].closed = False
    world.vendor_says(JOB, phase, "out of memory")
    await world.outcomes.reconcile(WatchedJob(JOB, media_id, 1))
    assert (await world.item(media_id)).runs(1)
    assert await world.watchlist.open_jobs(media_id) == [SECOND_JOB]
    assert world.database.outbox == {}


async def test_a_job_of_an_attempt_that_is_over_is_watched_no_more(world: World) -> None:
    media_id = await world.failed()
    world.database.jobs[JOB].closed = False
    await world.outcomes.reconcile(WatchedJob(JOB, media_id, 1))
    assert (await world.item(media_id)).version == 5
    assert world.nothing_is_left_to_do()


async def test_the_end_of_an_older_attempts_job_does_not_end_the_newer_attempt(
    world: World,
) -> None:
    media_id = await world.failed()
    await world.dispatch.retry(media_id, f.CREATOR, world.creator)
    world.vendor_says(JOB, JobPhase.FAILED, "encode_failed: Late.")
    await world.outcomes.reconcile(WatchedJob(JOB, media_id, 1))
    assert (await world.item(media_id)).runs(2)


async def test_a_vendor_that_does_not_answer_changes_nothing(world: World) -> None:
    media_id = await world.transcoding()
    world.transcoder.refusal = TranscoderUnavailable("RunPod answered 500.")
    with pytest.raises(TranscoderUnavailable):
        await world.polled()
    assert (await world.item(media_id)).version == 4
    assert await world.watchlist.open_jobs(media_id) == [JOB]


async def test_a_hint_makes_the_next_poll_come_at_once(world: World) -> None:
    media_id = await world.transcoding()
    assert await world.watchlist.take() is None
    await world.watchlist.hurry(media_id, 1)
    assert await world.watchlist.take() == WatchedJob(JOB, media_id, 1)


async def test_an_attempt_before_its_deadline_does_not_expire(world: World) -> None:
    media_id = await world.transcoding()
    world.database.advance(ATTEMPT_WINDOW - timedelta(microseconds=1))
    await world.outcomes.expire(media_id)
    assert (await world.item(media_id)).runs(1)


async def test_an_overdue_job_times_out_and_is_cancelled(world: World) -> None:
    media_id = await world.transcoding()
    world.database.advance(ATTEMPT_WINDOW)
    await world.outcomes.expire(media_id)
    assert (await world.failure(media_id)).code is ErrorCode.TIMED_OUT
    assert world.transcoder.jobs[JOB].phase is JobPhase.CANCELLED
    assert world.nothing_is_left_to_do()


async def test_an_overdue_job_times_out_though_it_cannot_be_cancelled(world: World) -> None:
    media_id = await world.transcoding()
    world.database.advance(ATTEMPT_WINDOW)
    world.transcoder.refusal = TranscoderUnavailable("RunPod answered 500.")
    await world.outcomes.expire(media_id)
    assert (await world.failure(media_id)).code is ErrorCode.TIMED_OUT


async def test_an_attempt_that_was_never_sent_ends_unreachable(world: World) -> None:
    media_id = await world.arrived()
    world.transcoder.refusal = TranscoderUnavailable("RunPod did not answer.")
    await world.uploads.complete(media_id, f.CREATOR, world.creator)
    world.database.advance(ATTEMPT_WINDOW)
    await world.outcomes.expire(media_id)
    assert (await world.failure(media_id)).code is ErrorCode.SUBMIT_UNREACHABLE
    assert world.nothing_is_left_to_do()


async def test_an_overdue_attempt_whose_outputs_are_there_is_ready(world: World) -> None:
    media_id = await world.transcoding()
    await world.leaves(media_id, f.video_outputs())
    world.database.advance(ATTEMPT_WINDOW)
    await world.outcomes.expire(media_id)
    assert (await world.item(media_id)).status is Status.READY


async def test_an_attempt_expires_once_and_the_next_has_its_own_deadline(world: World) -> None:
    media_id = await world.transcoding()
    world.database.advance(ATTEMPT_WINDOW)
    for _ in range(2):
        await world.outcomes.expire(media_id)
    await world.dispatch.retry(media_id, f.CREATOR, world.creator)
    await world.outcomes.expire(media_id)
    assert world.types(media_id).count("transcoding_failed") == 1
    assert (await world.item(media_id)).runs(2)


async def test_an_upload_is_not_an_attempts_to_expire(world: World) -> None:
    media_id = (await world.registered()).media_id
    world.database.advance(timedelta(days=30))
    await world.outcomes.expire(media_id)
    assert world.types(media_id) == ["registered"]
