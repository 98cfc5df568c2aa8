"""Dispatcher and reconciler on real parts: attempts are sent, jobs are asked about."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import httpx
import pytest

from domain.errors import TranscoderRejected, TranscoderUnavailable
from domain.failure import ErrorCode
from domain.lifecycle import Status
from domain.ports import Breaker, Channel, JobPhase, JobState
from infra.bootstrap import Services
from infra.loops import (
    dispatch_once,
    inbox_once,
    probe_once,
    reconcile_once,
    sweep_once,
)
from infra.object_storage import open_client
from tests import factories as f
from tests.infra.bucket import OpenBucket
from tests.infra.conftest import OpenWith
from tests.infra.left_to_do import AWAY, failure_of, item_of, real_job, waiting, watched
from tests.infra.lives import append, live
from tests.infra.outputs import LAYOUT, OBJECTS, manifest

BODY = b"a film"


async def test_nothing_to_do_is_said_by_every_step(services: Services) -> None:
    assert not await dispatch_once(services)
    assert not await reconcile_once(services)
    assert not await sweep_once(services)


async def test_f01_waiting_attempt_is_sent_and_watched(services: Services) -> None:
    job_id = await real_job(services)
    assert await services.transcoder.status(job_id) == JobState(JobPhase.QUEUED)
    assert await services.watchlist.open_jobs(f.MEDIA_ID) == [job_id]
    assert not await dispatch_once(services)


async def test_f38_attempt_waits_for_a_transcoder_that_is_away_until_its_deadline(
    open_with: OpenWith,
) -> None:
    async with open_with(**AWAY) as services:
        await live(services.store, waiting(1.5))
        assert await dispatch_once(services)
        (left,) = await services.pool.fetch("SELECT * FROM outbox")
        assert left["next_try_at"] > datetime.now(UTC)
        assert left["tries"] == 1
        assert "RunPod could not be reached" in left["last_error"]
        assert not await sweep_once(services)
        assert (await item_of(services)).status is Status.TRANSCODING
        await asyncio.sleep(1.5)
        await sweep_once(services)
        assert await failure_of(services) is ErrorCode.SUBMIT_UNREACHABLE
        assert await services.pool.fetch("SELECT * FROM outbox") == []


async def test_f38_attempt_is_sent_once_the_transcoder_is_back(
    open_with: OpenWith, services: Services
) -> None:
    async with open_with(**AWAY) as cut_off:
        await live(cut_off.store, waiting(3600))
        await dispatch_once(cut_off)
    assert not await dispatch_once(services)
    await services.pool.execute("UPDATE outbox SET next_try_at = now()")
    assert await dispatch_once(services)
    assert (await item_of(services)).runpod_job_id is not None


async def test_attempt_that_the_transcoder_refuses_fails(open_with: OpenWith) -> None:
    async with open_with(RUNPOD_API_KEY="rpa_wrong") as services:
        await live(services.store, waiting(3600))
        assert await dispatch_once(services)
        assert await failure_of(services) is ErrorCode.SUBMIT_REJECTED


async def test_running_job_is_left_alone(services: Services) -> None:
    job_id = await real_job(services)
    assert await reconcile_once(services)
    assert (await item_of(services)).status is Status.TRANSCODING
    assert await services.watchlist.open_jobs(f.MEDIA_ID) == [job_id]
    assert not await reconcile_once(services), "the next poll is due in 15 s"


@pytest.mark.parametrize(
    "said",
    [
        pytest.param("It stopped.", id="text"),
        pytest.param("It \x00 stopped.", id="text with NUL"),
    ],
)
async def test_f13_failure_that_no_worker_reported_is_found_by_asking(
    services: Services, said: str
) -> None:
    job_id = await real_job(services)
    settings = services.settings
    base = f"{settings.runpod_base_url}/v2/{settings.runpod_endpoint_id}"
    key = {"authorization": settings.runpod_api_key.get_secret_value()}
    async with httpx.AsyncClient(base_url=base, headers=key, trust_env=False) as worker:
        await worker.get("/job-take-batch/w2", params={"batch_size": "10000"})
        await worker.post(f"/job-done/w2/{job_id}", json={"error": f"encode_failed: {said}"})
    assert await reconcile_once(services)
    assert await failure_of(services) is ErrorCode.ENCODE_FAILED


async def test_f14_lost_job_is_sent_again_once_and_then_fails_the_attempt(
    services: Services,
) -> None:
    await watched(services, "lost-1")
    assert await reconcile_once(services)
    assert (await item_of(services)).status is Status.TRANSCODING
    assert await services.watchlist.open_jobs(f.MEDIA_ID) == []
    lease = await services.outbox.take()
    assert lease is not None
    await append(services.store, [f.transcoding_submitted(1, "lost-2")])
    await services.watchlist.hurry(f.MEDIA_ID, 1)
    assert await reconcile_once(services)
    assert await failure_of(services) is ErrorCode.WORKER_LOST


async def test_f14_outputs_in_the_bucket_count_though_their_job_is_unknown(
    services: Services, bucket: str
) -> None:
    await watched(services, "forgotten")
    async with open_client(services.settings) as client:
        found = OpenBucket(services.storage, client, bucket)
        await found.put({**OBJECTS, LAYOUT.manifest: manifest().to_json().encode()})
    assert await reconcile_once(services)
    item = await item_of(services)
    assert item.status is Status.READY
    assert item.outputs is not None
    assert item.outputs.hls_master_playlist_key == LAYOUT.master


async def test_job_is_asked_about_later_while_the_transcoder_is_away(open_with: OpenWith) -> None:
    async with open_with(**AWAY) as services:
        await watched(services, "job-1")
        with pytest.raises(TranscoderUnavailable):
            await reconcile_once(services)
        assert not await reconcile_once(services)
        assert await services.watchlist.open_jobs(f.MEDIA_ID) == ["job-1"]


async def test_f34_dispatch_goes_on_once_the_bucket_takes_objects_again(
    services: Services,
) -> None:
    await live(services.store, waiting(3600))
    await services.breakers.trip(Breaker.BUCKET, "a worker could not write")
    assert not await dispatch_once(services)
    assert await probe_once(services)
    assert not await probe_once(services)
    assert await dispatch_once(services)


async def test_f03_dispatch_stays_paused_while_the_key_is_refused(
    open_with: OpenWith,
) -> None:
    async with open_with(RUNPOD_API_KEY="wrong") as services:
        await live(services.store, waiting(3600))
        await dispatch_once(services)
        assert await failure_of(services) is ErrorCode.SUBMIT_REJECTED
        with pytest.raises(TranscoderRejected):
            await probe_once(services)
        other = uuid4()
        await live(services.store, waiting(3600), other)
        assert not await dispatch_once(services)


async def test_a_hint_that_waits_is_looked_at_by_the_loop(services: Services) -> None:
    await real_job(services)
    await services.desk.take_in(Channel.RUNPOD, "hint", f.MEDIA_ID, 1, b"{}")
    assert await inbox_once(services)
    assert not await inbox_once(services)
    assert await services.pool.fetchval("SELECT verdict FROM webhook_inbox") == "asking"
    assert await reconcile_once(services)
