"""The sweeper on real parts: every state ends by its deadline."""

import asyncio
from uuid import uuid4

import httpx

from domain.failure import ErrorCode
from domain.lifecycle import Status
from domain.ports import JobPhase, JobState
from domain.use_cases import Registration
from infra.bootstrap import Services
from infra.loops import (
    SWEEP_BATCH,
    dispatch_once,
    sweep_once,
)
from infra.postgres.pool import Pool
from tests import factories as f
from tests.infra.conftest import OpenWith
from tests.infra.left_to_do import AWAY, announced, failure_of, item_of, waiting, watched
from tests.infra.lives import live

BODY = b"a film"


async def test_overdue_job_is_cancelled_and_its_attempt_timed_out(services: Services) -> None:
    await live(services.store, waiting(-1))
    await dispatch_once(services)
    job_id = (await item_of(services)).runpod_job_id
    assert job_id is not None
    await sweep_once(services)
    assert await failure_of(services) is ErrorCode.TIMED_OUT
    assert await services.transcoder.status(job_id) == JobState(JobPhase.CANCELLED)


async def test_attempt_ends_at_its_deadline_though_its_job_cannot_be_cancelled(
    open_with: OpenWith,
) -> None:
    async with open_with(**AWAY) as services:
        await watched(services, "job-1", seconds_left=-1)
        await sweep_once(services)
        assert await failure_of(services) is ErrorCode.TIMED_OUT


async def test_f25_upload_that_never_came_expires(open_with: OpenWith) -> None:
    async with open_with(UPLOAD_WINDOW_S="1") as services:
        wanted = Registration("alice", "a.mp4", "video/mp4", len(BODY))
        registered = await services.uploads.register(wanted, f.context())
        assert not await sweep_once(services)
        assert (await item_of(services, registered.media_id)).status is Status.UPLOADING
        await asyncio.sleep(1.1)
        await sweep_once(services)
        assert await failure_of(services, registered.media_id) is ErrorCode.UPLOAD_EXPIRED


async def test_f25_upload_that_came_unannounced_is_completed_and_sent(open_with: OpenWith) -> None:
    async with open_with(UPLOAD_WINDOW_S="1") as services:
        wanted = Registration("alice", "a.mp4", "video/mp4", len(BODY))
        registered = await services.uploads.register(wanted, f.context())
        assert registered.upload is not None
        async with httpx.AsyncClient(trust_env=False) as browser:
            answer = await browser.put(
                registered.upload.url, content=BODY, headers=registered.upload.headers
            )
        assert answer.status_code == 200
        await asyncio.sleep(1.1)
        await sweep_once(services)
        item = await item_of(services, registered.media_id)
        assert item.status is Status.TRANSCODING
        assert item.runpod_job_id is not None


async def test_item_that_cannot_be_ended_keeps_no_other_from_ending(
    services: Services, owner: Pool
) -> None:
    unreadable, ends = uuid4(), uuid4()
    await live(services.store, waiting(-20), unreadable)
    await live(services.store, waiting(-10), ends)
    await owner.execute("ALTER TABLE events DISABLE TRIGGER append_only")
    await owner.execute("UPDATE events SET payload = '{}' WHERE stream_id = $1", unreadable)
    await sweep_once(services)
    assert await failure_of(services, ends) is ErrorCode.SUBMIT_UNREACHABLE


async def test_upload_outlives_its_deadline_while_the_bucket_is_away(open_with: OpenWith) -> None:
    async with open_with(R2_BUCKET="no-such-bucket") as services:
        await live(services.store, announced(-1))
        await sweep_once(services)
        assert (await item_of(services)).status is Status.UPLOADING


async def test_sweeper_pauses_when_it_could_end_nothing(open_with: OpenWith) -> None:
    async with open_with(R2_BUCKET="no-such-bucket") as services:
        for _ in range(SWEEP_BATCH):
            await live(services.store, announced(-1), uuid4())
        assert not await sweep_once(services)


async def test_sweeper_goes_on_at_once_after_a_full_batch(services: Services) -> None:
    for _ in range(SWEEP_BATCH + 1):
        await live(services.store, waiting(-1), uuid4())
    assert await sweep_once(services)
    assert not await sweep_once(services)
    left = await services.pool.fetchval("SELECT count(*) FROM media_items WHERE status <> 'failed'")
    assert left == 0
