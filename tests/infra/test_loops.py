"""The loops on real parts: what is left to do gets done, whatever is away for a while."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from domain.errors import TranscoderUnavailable
from domain.failure import ErrorCode
from domain.lifecycle import Status
from domain.media import MediaItem, fold
from domain.ports import JobPhase, JobState
from domain.use_cases import Registration
from infra.bootstrap import Services
from infra.embedded.ports import free_port
from infra.loops import SWEEP_BATCH, dispatch_once, reconcile_once, run_loops, sweep_once
from tests import factories as f
from tests.infra import lives
from tests.infra.bucket import OpenBucket, open_client
from tests.infra.conftest import OpenWith
from tests.infra.embedded.processes import eventually
from tests.infra.lives import Life, append, live
from tests.infra.outputs import LAYOUT, OBJECTS, manifest

BODY = b"a film"
AWAY = {"RUNPOD_BASE_URL": f"http://127.0.0.1:{free_port()}"}


async def item_of(services: Services, media_id: UUID = f.MEDIA_ID) -> MediaItem:
    """The item as its history makes it."""
    item = fold(stored.event for stored in await services.store.load(media_id))
    assert item is not None
    return item


async def failure_of(services: Services, media_id: UUID = f.MEDIA_ID) -> ErrorCode | None:
    """Why the item failed; None unless it did."""
    failure = (await item_of(services, media_id)).failure
    return None if failure is None else failure.code


def from_now(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def waiting(seconds_left: float) -> Life:
    """An item whose attempt needs a job and must end in so many seconds."""
    requested = f.transcoding_requested().model_copy(update={"deadline": from_now(seconds_left)})
    return (*lives.REGISTERED, (f.upload_completed(), requested))


def announced(seconds_left: float) -> Life:
    """An item whose file must arrive in so many seconds."""
    return ((f.registered().model_copy(update={"upload_deadline": from_now(seconds_left)}),),)


async def watched(services: Services, job_id: str, seconds_left: float = 3600) -> None:
    """An item whose one job is due to be asked about."""
    await live(services.store, waiting(seconds_left))
    await append(services.store, [f.transcoding_submitted(1, job_id)])
    await services.watchlist.hurry(f.MEDIA_ID, 1)


async def real_job(services: Services) -> str:
    """An item whose job is queued at the stand-in and due to be asked about."""
    await live(services.store, waiting(3600))
    assert await dispatch_once(services)
    await services.watchlist.hurry(f.MEDIA_ID, 1)
    job_id = (await item_of(services)).runpod_job_id
    assert job_id is not None
    return job_id


async def test_nothing_to_do_is_said_by_every_step(services: Services) -> None:
    assert not await dispatch_once(services)
    assert not await reconcile_once(services)
    assert not await sweep_once(services)


async def test_waiting_attempt_is_sent_and_watched(services: Services) -> None:
    job_id = await real_job(services)
    assert await services.transcoder.status(job_id) == JobState(JobPhase.QUEUED)
    assert await services.watchlist.open_jobs(f.MEDIA_ID) == [job_id]
    assert not await dispatch_once(services)


async def test_attempt_waits_for_a_transcoder_that_is_away_until_its_deadline(
    open_with: OpenWith,
) -> None:
    async with open_with(**AWAY) as services:
        await live(services.store, waiting(1.5))
        assert await dispatch_once(services)
        (left,) = await services.pool.fetch("SELECT * FROM outbox")
        assert left["next_try_at"] > datetime.now(UTC)
        assert left["tries"] == 1
        assert "RunPod did not answer" in left["last_error"]
        assert not await sweep_once(services)
        assert (await item_of(services)).status is Status.TRANSCODING
        await asyncio.sleep(1.5)
        await sweep_once(services)
        assert await failure_of(services) is ErrorCode.SUBMIT_UNREACHABLE
        assert await services.pool.fetch("SELECT * FROM outbox") == []


async def test_attempt_is_sent_once_the_transcoder_is_back(
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
        pytest.param(
            "It \x00 stopped.",
            id="text with NUL",
            marks=pytest.mark.xfail(
                strict=True, reason="jsonb holds no NUL, and nobody removes it"
            ),
        ),
    ],
)
async def test_failure_that_no_worker_reported_is_found_by_asking(
    services: Services, said: str
) -> None:
    job_id = await real_job(services)
    settings = services.settings
    base = f"{settings.runpod_base_url}/v2/{settings.runpod_endpoint_id}"
    key = {"authorization": settings.runpod_api_key.get_secret_value()}
    async with httpx.AsyncClient(base_url=base, headers=key, trust_env=False) as worker:
        await worker.get("/job-take-batch/w2", params={"batch_size": "99"})
        await worker.post(f"/job-done/w2/{job_id}", json={"error": f"encode_failed: {said}"})
    assert await reconcile_once(services)
    assert await failure_of(services) is ErrorCode.ENCODE_FAILED


async def test_lost_job_is_sent_again_once_and_then_fails_the_attempt(services: Services) -> None:
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


async def test_outputs_in_the_bucket_count_though_their_job_is_unknown(
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


async def test_upload_that_never_came_expires(open_with: OpenWith) -> None:
    async with open_with(UPLOAD_WINDOW_S="1") as services:
        wanted = Registration("alice", "a.mp4", "video/mp4", len(BODY))
        registered = await services.uploads.register(wanted, f.context())
        assert not await sweep_once(services)
        assert (await item_of(services, registered.media_id)).status is Status.UPLOADING
        await asyncio.sleep(1.1)
        await sweep_once(services)
        assert await failure_of(services, registered.media_id) is ErrorCode.UPLOAD_EXPIRED


async def test_upload_that_came_unannounced_is_completed_and_sent(open_with: OpenWith) -> None:
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


async def test_item_that_cannot_be_ended_keeps_no_other_from_ending(services: Services) -> None:
    unreadable, ends = uuid4(), uuid4()
    await live(services.store, waiting(-20), unreadable)
    await live(services.store, waiting(-10), ends)
    await services.pool.execute("UPDATE events SET payload = '{}' WHERE stream_id = $1", unreadable)
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


@asynccontextmanager
async def running(services: Services) -> AsyncIterator[asyncio.Event]:
    """The loops in the background; they must end soon after they are told to."""
    stop = asyncio.Event()
    loops = asyncio.create_task(run_loops(services, stop))
    yield stop
    stop.set()
    told = time.monotonic()
    await loops
    assert time.monotonic() - told < 1


async def test_loops_do_the_work_and_stop_when_told(services: Services) -> None:
    overdue = uuid4()
    async with running(services):
        await live(services.store, waiting(3600))
        await live(services.store, announced(-1), overdue)

        async def done() -> bool:
            sent = (await item_of(services)).runpod_job_id
            return bool(sent) and await failure_of(services, overdue) is not None

        assert await eventually(done, 5)


async def test_loops_stop_at_once_in_the_pause_after_an_error(open_with: OpenWith) -> None:
    async with open_with(**AWAY) as services:
        await watched(services, "job-1")

        async def asked() -> bool:
            return bool(await services.pool.fetchval("SELECT polls FROM vendor_jobs"))

        async with running(services):
            assert await eventually(asked, 5)
            await asyncio.sleep(0.2)


async def test_loops_survive_the_loss_of_their_database_connections(
    services: Services, server_dsn: str
) -> None:
    database = await services.pool.fetchval("SELECT current_database()")
    async with running(services):
        server = await asyncpg.connect(server_dsn)
        for _ in range(15):
            await asyncio.sleep(0.1)
            await server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1",
                database,
            )
        await server.close()
        await asyncio.sleep(0.1)
        await live(services.store, waiting(3600))

        async def sent() -> bool:
            return (await item_of(services)).runpod_job_id is not None

        assert await eventually(sent, 10)
