"""A call to RunPod whose answer was lost: at most two calls an attempt, and no job forgotten."""

from datetime import timedelta
from uuid import UUID

import pytest

from domain.commands import RecordSubmission
from domain.errors import TranscoderForbidden, TranscoderUnavailable, TranscoderUnknown
from domain.failure import ErrorCode
from domain.handler import handle
from domain.lifecycle import Status
from domain.ports import Breaker, ClaimHolder, JobPhase, JobState
from tests import factories as f
from tests.domain.world import ATTEMPT_WINDOW, UNKNOWN_WAIT_S, World

LOST_ANSWER = "job-11-u1"
SECOND = "job-12-u1"
WAIT = timedelta(seconds=UNKNOWN_WAIT_S)


async def unanswered(world: World) -> UUID:
    """An attempt whose first call queued a job that nobody was told of."""
    media_id = await world.arrived()
    world.transcoder.mute = True
    await world.uploads.complete(media_id, f.CREATOR, world.creator)
    assert (await world.item(media_id)).job_ids == ()
    return media_id


def claims(world: World, media_id: UUID, job_id: str, age_s: float = 1.0) -> None:
    """A worker says that `job_id` is at work on the first attempt."""
    world.claims.holders[media_id, 1] = ClaimHolder(job_id, age_s, released=False)


async def test_f02_the_claim_tells_which_job_was_queued(world: World) -> None:
    media_id = await unanswered(world)
    claims(world, media_id, LOST_ANSWER)
    world.database.advance(WAIT)
    await world.dispatched()
    assert (await world.item(media_id)).job_ids == (LOST_ANSWER,)
    assert len(world.transcoder.submitted) == 1
    assert await world.watchlist.open_jobs(media_id) == [LOST_ANSWER]


async def test_f02_without_a_sign_one_more_call_is_made_and_no_third(world: World) -> None:
    media_id = await unanswered(world)
    for _ in range(100):
        world.database.advance(timedelta(seconds=30))
        await world.dispatched()
    assert len(world.transcoder.submitted) == 2
    assert (await world.item(media_id)).runs(1)


async def test_f02_before_the_wait_is_over_no_second_call_is_made(world: World) -> None:
    media_id = await unanswered(world)
    world.database.advance(WAIT - timedelta(seconds=1))
    assert await world.outbox.take() is None
    world.database.outbox[media_id, 1].next_try_at = world.database.clock
    await world.dispatched()
    assert len(world.transcoder.submitted) == 1


async def test_f02_the_second_call_may_be_the_one_that_is_answered(world: World) -> None:
    media_id = await unanswered(world)
    world.transcoder.mute = False
    world.database.advance(WAIT)
    await world.dispatched()
    assert (await world.item(media_id)).job_ids == (SECOND,)
    assert world.database.outbox == {}


async def test_f02_two_jobs_nobody_heard_of_end_at_the_deadline(world: World) -> None:
    media_id = await unanswered(world)
    world.database.advance(WAIT)
    await world.dispatched()
    world.database.advance(ATTEMPT_WINDOW)
    await world.outcomes.expire(media_id)
    assert (await world.failure(media_id)).code is ErrorCode.SUBMIT_UNREACHABLE
    assert world.nothing_is_left_to_do()


async def test_f04_a_call_that_was_begun_by_a_dispatcher_that_died_counts(world: World) -> None:
    media_id = await world.arrived()
    world.transcoder.refusal = TranscoderUnavailable("RunPod did not answer.")
    await world.uploads.complete(media_id, f.CREATOR, world.creator)
    world.transcoder.refusal = None
    world.database.advance(timedelta(minutes=5))
    lease = await world.outbox.take()
    assert lease is not None
    assert await world.outbox.begin_call(lease)  # and here it died
    world.database.advance(timedelta(seconds=61))
    await world.dispatched()
    assert world.transcoder.submitted == [], "its job may exist: a sign of it is waited for"
    world.database.advance(WAIT)
    await world.dispatched()
    assert len(world.transcoder.submitted) == 1


async def test_f03_a_sure_no_uses_up_no_call(world: World) -> None:
    media_id = await world.arrived()
    world.transcoder.refusal = TranscoderUnavailable("RunPod answered 503.")
    await world.uploads.complete(media_id, f.CREATOR, world.creator)
    for _ in range(10):
        world.database.advance(timedelta(minutes=3))
        await world.dispatched()
    world.transcoder.refusal = None
    world.database.advance(timedelta(minutes=3))
    await world.dispatched()
    assert (await world.item(media_id)).runpod_job_id == LOST_ANSWER
    assert (await world.outbox.calls(media_id, 1)).made == 1


async def test_f03_the_wait_that_the_vendor_asks_for_is_kept(world: World) -> None:
    media_id = await world.arrived()
    world.transcoder.refusal = TranscoderUnavailable("RunPod answered 429.", retry_after_s=100)
    await world.uploads.complete(media_id, f.CREATOR, world.creator)
    world.database.advance(timedelta(seconds=99))
    assert await world.outbox.take() is None


async def test_f03_a_refused_key_fails_one_attempt_and_pauses_the_others(world: World) -> None:
    world.transcoder.refusal = TranscoderForbidden("RunPod refuses our key (401).")
    first, second = await world.transcoding(), await world.transcoding()
    assert (await world.failure(first)).code is ErrorCode.SUBMIT_REJECTED
    assert (await world.item(second)).runs(1)
    world.database.advance(timedelta(hours=1))
    assert await world.dispatched() is None
    world.transcoder.refusal = None
    await world.breakers.reset(Breaker.RUNPOD_KEY)
    await world.dispatched()
    assert (await world.item(second)).job_ids != ()


async def test_a_bucket_that_does_not_answer_is_asked_for_the_claim_later(world: World) -> None:
    media_id = await unanswered(world)
    world.claims.down = True
    world.database.advance(WAIT)
    await world.dispatched()
    assert len(world.transcoder.submitted) == 1
    world.claims.down = False
    claims(world, media_id, LOST_ANSWER)
    world.database.advance(timedelta(minutes=5))
    await world.dispatched()
    assert (await world.item(media_id)).job_ids == (LOST_ANSWER,)


async def test_a_worker_that_starts_names_a_job_nobody_knew(world: World) -> None:
    media_id = await unanswered(world)
    start = f.record_start(1)._replace(runpod_job_id=LOST_ANSWER)
    item = await world.outcomes.started(media_id, start, f.context("worker:a"))
    assert (item.job_ids, item.started) == ((LOST_ANSWER,), True)
    assert world.database.outbox == {}


@pytest.mark.parametrize("job_id", ["../status", "a b", "", "x" * 101, "job/1"])
async def test_a_name_that_is_no_job_id_is_not_learnt(world: World, job_id: str) -> None:
    media_id = await unanswered(world)
    item = await world.outcomes.learn(media_id, 1, job_id, f.context())
    assert item.job_ids == ()


async def two_jobs(world: World) -> UUID:
    """The first call's job is at work; the second one's was recorded, and finds that out."""
    media_id = await unanswered(world)
    world.transcoder.mute = False
    world.database.advance(WAIT)
    await world.dispatched()
    claims(world, media_id, LOST_ANSWER)
    world.transcoder.jobs[SECOND] = JobState(JobPhase.SUCCEEDED, superseded=True)
    return media_id


async def test_f17_a_job_that_found_another_at_work_hands_the_watch_over(world: World) -> None:
    media_id = await two_jobs(world)
    await world.polled()
    item = await world.item(media_id)
    assert item.runs(1)
    assert item.job_ids == (SECOND, LOST_ANSWER)
    assert await world.watchlist.open_jobs(media_id) == [LOST_ANSWER]


async def test_f17_the_older_job_is_watched_again_when_the_newer_one_leaves_it_the_work(
    world: World,
) -> None:
    media_id = await world.transcoding()
    state = world.transcoder.jobs.pop(LOST_ANSWER)
    await world.polled()
    await world.dispatched()
    world.transcoder.jobs |= {
        LOST_ANSWER: state,
        SECOND: JobState(JobPhase.SUCCEEDED, superseded=True),
    }
    claims(world, media_id, LOST_ANSWER)
    await world.polled()
    assert await world.watchlist.open_jobs(media_id) == [LOST_ANSWER]


async def test_a_job_that_the_vendor_forgot_and_that_works_is_left_alone(world: World) -> None:
    media_id = await world.transcoding()
    del world.transcoder.jobs[LOST_ANSWER]
    claims(world, media_id, LOST_ANSWER)
    await world.polled()
    assert await world.watchlist.open_jobs(media_id) == [LOST_ANSWER]
    assert world.database.outbox == {}
    claims(world, media_id, LOST_ANSWER, age_s=91)
    await world.polled()
    assert list(world.database.outbox) == [(media_id, 1)]


async def test_when_both_jobs_are_gone_the_attempt_is_lost(world: World) -> None:
    media_id = await two_jobs(world)
    await world.polled()
    world.claims.holders.clear()
    del world.transcoder.jobs[LOST_ANSWER]
    await world.polled()
    assert (await world.failure(media_id)).code is ErrorCode.WORKER_LOST
    assert len(world.transcoder.submitted) == 2


async def test_f34_a_bucket_that_refuses_workers_pauses_dispatch_and_costs_no_attempt(
    world: World,
) -> None:
    media_id = await world.transcoding()
    refused = f.record_failure(1, ErrorCode.STORAGE_UNAVAILABLE)._replace(runpod_job_id=LOST_ANSWER)
    item = await world.outcomes.failed(media_id, refused, f.context("worker:a"))
    assert item.runs(1)
    world.database.advance(timedelta(minutes=10))
    assert await world.dispatched() is None, "the breaker holds everything back"
    assert await world.breakers.take_probe() is Breaker.BUCKET
    await world.breakers.reset(Breaker.BUCKET)
    await world.dispatched()
    assert (await world.item(media_id)).job_ids == (LOST_ANSWER, SECOND)


async def test_f34_a_bucket_that_refuses_both_jobs_fails_the_attempt_with_its_own_code(
    world: World,
) -> None:
    media_id = await world.transcoding()
    for job_id in (LOST_ANSWER, SECOND):
        refused = f.record_failure(1, ErrorCode.STORAGE_UNAVAILABLE)
        await world.outcomes.failed(
            media_id, refused._replace(runpod_job_id=job_id), f.context("worker:a")
        )
        await world.breakers.reset(Breaker.BUCKET)
        await world.dispatched()
    failed = await world.failure(media_id)
    assert (failed.code, failed.retryable) == (ErrorCode.STORAGE_UNAVAILABLE, True)


async def test_f34_a_refusal_told_again_while_the_next_call_is_out_costs_no_attempt(
    world: World,
) -> None:
    media_id = await world.transcoding()
    refused = f.record_failure(1, ErrorCode.STORAGE_UNAVAILABLE)._replace(runpod_job_id=LOST_ANSWER)
    await world.outcomes.failed(media_id, refused, f.context("worker:a"))
    await world.breakers.reset(Breaker.BUCKET)
    lease = await world.outbox.take()
    assert lease is not None
    assert await world.outbox.begin_call(lease)
    item = await world.outcomes.failed(media_id, refused, f.context("worker:a"))
    assert item.runs(1), "the second job is on its way"
    world.database.advance(timedelta(minutes=10))
    assert list(world.database.outbox) == [(media_id, 1)]


async def test_f34_a_refusal_that_overtakes_the_answer_of_its_own_call_costs_no_attempt(
    world: World,
) -> None:
    media_id = await unanswered(world)
    refused = f.record_failure(1, ErrorCode.STORAGE_UNAVAILABLE)._replace(runpod_job_id=LOST_ANSWER)
    await world.outcomes.failed(media_id, refused, f.context("worker:a"))
    answered = RecordSubmission(1, LOST_ANSWER)
    await handle(world.store, media_id, answered, f.context("system:dispatcher"))
    assert await world.watchlist.open_jobs(media_id) == []
    assert list(world.database.outbox) == [(media_id, 1)], "nothing else would go on with it"


async def test_when_a_call_was_lost_and_the_other_job_too_the_attempt_is_lost(world: World) -> None:
    media_id = await world.arrived()
    world.transcoder.mute = True
    await world.uploads.complete(media_id, f.CREATOR, world.creator)
    world.transcoder.mute = False
    world.database.advance(timedelta(minutes=10))
    await world.dispatched()
    assert (await world.item(media_id)).job_ids == (SECOND,)
    world.vendor_says(SECOND, JobPhase.CANCELLED)
    await world.polled()
    assert (await world.failure(media_id)).code is ErrorCode.WORKER_LOST


async def test_a_retry_cancels_what_still_runs_of_the_older_attempt(world: World) -> None:
    media_id = await world.failed()
    world.transcoder.jobs[LOST_ANSWER] = JobState(JobPhase.RUNNING)
    await world.dispatch.retry(media_id, f.CREATOR, world.creator)
    assert world.transcoder.jobs[LOST_ANSWER].phase is JobPhase.CANCELLED
    assert world.transcoder.jobs["job-21-u1"].phase is JobPhase.QUEUED


async def test_a_retry_goes_through_though_nothing_can_be_cancelled(world: World) -> None:
    media_id = await world.failed()
    world.transcoder.refusal = TranscoderUnknown("RunPod did not answer.")
    item = await world.dispatch.retry(media_id, f.CREATOR, world.creator)
    assert (item.status, item.attempt) == (Status.TRANSCODING, 2)


async def test_f41_a_claim_of_a_job_that_no_record_can_name_keeps_the_watch_on_the_recorded_one(
    world: World,
) -> None:
    media_id = await two_jobs(world)
    await world.polled()
    claims(world, media_id, "job-from-before-the-restore")
    del world.transcoder.jobs[LOST_ANSWER]
    await world.polled()
    assert await world.watchlist.open_jobs(media_id) == [LOST_ANSWER]
    world.claims.holders.clear()
    await world.polled()
    assert (await world.failure(media_id)).code is ErrorCode.WORKER_LOST
