"""Sending attempts to the transcoder, and beginning the second one."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from domain.errors import (
    AccessDenied,
    RetryRefused,
    TranscoderRejected,
    TranscoderUnavailable,
    TranscodingRunning,
)
from domain.failure import ErrorCode
from domain.lifecycle import Status
from domain.media import attempt_id
from domain.ports import JobPhase, Lease, TranscodingJob
from domain.use_cases.dispatch import LAST_BACKOFF_S, backoff_s
from tests import factories as f
from tests.domain.world import ATTEMPT_WINDOW, UPLOAD_WINDOW, World
from tests.fakes import MemoryTranscoder

UNREACHABLE = TranscoderUnavailable("RunPod did not answer.")


async def test_a_job_says_all_that_the_worker_needs(world: World) -> None:
    media_id = await world.transcoding()
    [job] = world.transcoder.submitted
    item = await world.item(media_id)
    assert (job.media_id, job.attempt) == (media_id, 1)
    assert job.attempt_id == attempt_id(media_id, 1)
    assert (job.media_type, job.creator_id) == (item.media_type, f.CREATOR)
    assert (job.input_key, job.input_etag) == (item.input_key, f.ETAG)
    assert job.traceparent == world.creator.traceparent
    assert job.deadline == f.NOW + ATTEMPT_WINDOW


async def test_an_accepted_job_is_recorded_and_watched(world: World) -> None:
    media_id = await world.transcoding()
    [*_, submitted] = await world.store.load(media_id)
    assert submitted.event == f.transcoding_submitted(1, "job-11-u1")
    assert submitted.context.actor == "system:dispatcher"
    assert await world.watchlist.open_jobs(media_id) == ["job-11-u1"]
    assert await world.outbox.take() is None


async def test_an_attempt_that_is_being_sent_is_not_sent_by_a_second_one(world: World) -> None:
    media_id = await world.arrived()
    world.transcoder.refusal = UNREACHABLE
    await world.uploads.complete(media_id, f.CREATOR, world.creator)
    world.transcoder.refusal = None
    world.database.advance(timedelta(minutes=5))
    assert await world.outbox.take() is not None
    item = await world.dispatch.send_at_once(media_id, await world.item(media_id))
    assert (item.runpod_job_id, world.transcoder.submitted) == (None, [])


async def test_an_attempt_that_is_over_is_not_sent(world: World) -> None:
    media_id = await world.failed()
    await world.outbox.add(media_id, 1)
    item = await world.dispatched()
    assert item is not None
    assert item.status is Status.FAILED
    assert len(world.transcoder.submitted) == 1
    assert world.database.outbox == {}


async def test_an_older_attempt_is_not_sent_in_place_of_the_present_one(world: World) -> None:
    media_id = await world.failed()
    await world.dispatch.retry(media_id, f.CREATOR, world.creator)
    await world.outbox.add(media_id, 1)
    await world.dispatched()
    assert [job.attempt for job in world.transcoder.submitted] == [1, 2]
    assert world.database.outbox == {}


async def test_a_lease_on_an_item_that_does_not_exist_is_denied(world: World) -> None:
    with pytest.raises(AccessDenied):
        await world.dispatch.send(Lease(uuid4(), 1, 1))


async def test_each_try_that_fails_is_counted_and_says_why(world: World) -> None:
    media_id = await world.arrived()
    world.transcoder.refusal = UNREACHABLE
    await world.uploads.complete(media_id, f.CREATOR, world.creator)
    for _ in range(3):
        world.database.advance(timedelta(seconds=LAST_BACKOFF_S))
        await world.dispatched()
    entry = world.database.outbox[media_id, 1]
    assert (entry.tries, entry.last_error) == (4, "RunPod did not answer.")
    assert world.types(media_id)[-1] == "transcoding_requested"


@pytest.mark.parametrize(
    ("tries", "ceiling_s"), [(1, 4), (2, 8), (3, 16), (5, 64), (6, 120), (7, 120), (100_000, 120)]
)
def test_the_wait_doubles_up_to_two_minutes_and_is_spread(tries: int, ceiling_s: float) -> None:
    waits = [backoff_s(tries) for _ in range(50)]
    assert ceiling_s / 2 <= min(waits) < max(waits) <= ceiling_s


async def test_a_retry_begins_and_sends_the_second_attempt(world: World) -> None:
    media_id = await world.failed()
    world.database.advance(timedelta(hours=1))
    item = await world.dispatch.retry(media_id, f.CREATOR, world.creator)
    assert (item.status, item.attempt, item.failure) == (Status.TRANSCODING, 2, None)
    assert (item.job_ids, item.deadline) == (
        ("job-21-u1",),
        f.NOW + timedelta(hours=1) + ATTEMPT_WINDOW,
    )
    assert world.types(media_id)[-3:] == [
        "retry_requested",
        "transcoding_requested",
        "transcoding_submitted",
    ]
    assert world.transcoder.submitted[-1].attempt_id == attempt_id(media_id, 2)


async def test_each_attempt_is_traced_to_the_request_that_began_it(world: World) -> None:
    media_id = await world.failed()
    traced = f.context(traceparent="00-11111111111111111111111111111111-2222222222222222-01")
    await world.dispatch.retry(media_id, f.CREATOR, traced)
    assert [job.traceparent for job in world.transcoder.submitted] == [
        world.creator.traceparent,
        traced.traceparent,
    ]


async def test_a_retry_says_who_asked_for_it(world: World) -> None:
    media_id = await world.failed()
    await world.dispatch.retry(media_id, f.CREATOR, f.context("admin:jo"))
    retried = (await world.store.load(media_id))[-3]
    assert retried.event.payload() == {"actor": "admin:jo"}
    assert retried.context.actor == "admin:jo"


async def test_a_retry_that_cannot_be_sent_waits(world: World) -> None:
    media_id = await world.failed()
    world.transcoder.refusal = UNREACHABLE
    item = await world.dispatch.retry(media_id, f.CREATOR, world.creator)
    assert (item.status, item.runpod_job_id) == (Status.TRANSCODING, None)
    assert list(world.database.outbox) == [(media_id, 2)]


async def test_a_retry_that_is_rejected_uses_up_the_attempt(world: World) -> None:
    media_id = await world.failed()
    world.transcoder.refusal = TranscoderRejected("RunPod answered 404: no such endpoint.")
    item = await world.dispatch.retry(media_id, f.CREATOR, world.creator)
    assert item.failure is not None
    assert item.failure.code is ErrorCode.SUBMIT_REJECTED
    with pytest.raises(RetryRefused):
        await world.dispatch.retry(media_id, f.CREATOR, world.creator)


async def test_a_third_attempt_is_refused(world: World) -> None:
    media_id = await world.failed(attempt=2)
    version = (await world.item(media_id)).version
    with pytest.raises(RetryRefused, match="All 2 attempts are used up"):
        await world.dispatch.retry(media_id, f.CREATOR, world.creator)
    assert (await world.item(media_id)).version == version
    assert len(world.transcoder.submitted) == 2


async def test_f19_a_retry_while_a_job_runs_is_refused(world: World) -> None:
    media_id = await world.transcoding()
    with pytest.raises(TranscodingRunning):
        await world.dispatch.retry(media_id, f.CREATOR, world.creator)


async def test_f18_two_retries_at_once_begin_one_attempt(world: World) -> None:
    media_id = await world.failed()
    await world.dispatch.retry(media_id, f.CREATOR, world.creator)
    with pytest.raises(TranscodingRunning):
        await world.dispatch.retry(media_id, f.CREATOR, world.creator)
    assert world.types(media_id).count("retry_requested") == 1


async def test_what_is_ready_is_not_retried(world: World) -> None:
    media_id = await world.transcoding()
    await world.leaves(media_id, f.video_outputs())
    await world.outcomes.completed(media_id, 1, "job-11-u1", f.context("worker:a"))
    with pytest.raises(RetryRefused, match="this one is ready"):
        await world.dispatch.retry(media_id, f.CREATOR, world.creator)


async def test_an_upload_that_never_came_is_not_retried(world: World) -> None:
    media_id = (await world.registered()).media_id
    with pytest.raises(RetryRefused, match="this one is uploading"):
        await world.dispatch.retry(media_id, f.CREATOR, world.creator)
    world.database.advance(UPLOAD_WINDOW)
    await world.uploads.expire(media_id)
    with pytest.raises(RetryRefused, match="never arrived"):
        await world.dispatch.retry(media_id, f.CREATOR, world.creator)


async def test_a_foreign_item_is_not_retried(world: World) -> None:
    media_id = await world.failed()
    with pytest.raises(AccessDenied):
        await world.dispatch.retry(media_id, "creator-2", f.context("creator:creator-2"))
    assert (await world.item(media_id)).status is Status.FAILED


async def test_an_attempt_that_had_its_two_jobs_gets_no_third(world: World) -> None:
    media_id = await world.transcoding()
    for _ in range(3):
        await world.outbox.add(media_id, 1)
        await world.dispatched()
    assert len(world.transcoder.submitted) == 2
    assert await world.outbox.take() is None


async def test_a_job_queued_while_its_attempt_ended_is_cancelled(world: World) -> None:
    media_id = await world.arrived()

    class EndsMeanwhile(MemoryTranscoder):
        async def submit(self, job: TranscodingJob, now: datetime) -> str:
            overdue = f.record_failure(1)._replace(runpod_job_id=None)
            await world.outcomes.failed(media_id, overdue, f.context("system:sweeper"))
            return await super().submit(job, now)

    world.transcoder = EndsMeanwhile()
    world.__post_init__()
    await world.uploads.complete(media_id, f.CREATOR, world.creator)
    assert (await world.item(media_id)).status is Status.FAILED
    assert world.transcoder.jobs["job-11-u1"].phase is JobPhase.CANCELLED
    assert world.nothing_is_left_to_do()
