"""Jobs that help with a long film: called once, dismissed with their attempt, nobody's concern."""

import time

from api import webhooks
from domain.lifecycle import Status
from domain.media import attempt_id
from domain.ports import JobPhase
from gpu_worker.contract import Progress, Report, ReportOutput
from gpu_worker.signature import sign
from infra.bootstrap import Services
from infra.loops import assistants_once
from tests import factories as f
from tests.infra.conftest import OpenWith
from tests.infra.left_to_do import AWAY, item_of, real_job, waiting
from tests.infra.lives import append, live


async def say(services: Services, wanted: int, attempt: int = 1) -> None:
    """The worker that has the attempt reports progress, and how many could help."""
    output = ReportOutput(
        media_id=f.MEDIA_ID,
        attempt=attempt,
        attempt_id=attempt_id(f.MEDIA_ID, attempt),
        type="video",
    )
    progress = Progress(percent=20, stage="encode", assistants_wanted=wanted)
    report = Report(job_id=f.job_id(), status="progress", output=output, progress=progress)
    body, now_s = report.to_json().encode(), int(time.time())
    headers = sign(services.settings.webhook_keys[0], f"msg_{wanted}", now_s, body)
    assert await webhooks.from_worker(services, headers, body, now_s) == "noted"


async def called(services: Services) -> list[str | None]:
    rows = await services.pool.fetch("SELECT job_id FROM assistants ORDER BY number")
    return [row["job_id"] for row in rows]


async def test_assistants_are_called_once_and_dismissed_with_their_attempt(
    open_with: OpenWith,
) -> None:
    async with open_with(CHUNK_ASSISTANTS="2") as services:
        job_id = await real_job(services)
        for _ in range(2):
            await say(services, 9)
            while await assistants_once(services):
                pass
        helpers = await called(services)
        assert len(helpers) == len(set(helpers)) == 2
        assert job_id not in helpers
        for helper in helpers:
            state = await services.transcoder.status(str(helper))
            assert state is not None
            assert state.phase is JobPhase.QUEUED
        assert await services.watchlist.open_jobs(f.MEDIA_ID) == [job_id], "nobody watches them"
        assert (await services.outbox.calls(f.MEDIA_ID, 1)).made == 1
        assert (await item_of(services)).job_ids == (job_id,)

        await append(services.store, [f.transcoding_failed()])
        while await assistants_once(services):
            pass
        for helper in helpers:
            state = await services.transcoder.status(str(helper))
            assert state is not None
            assert state.phase is JobPhase.CANCELLED
        await say(services, 9)
        assert await called(services) == [], "late progress of an attempt that is over"


async def test_none_is_called_unless_the_setting_says_so(open_with: OpenWith) -> None:
    async with open_with() as services:
        await real_job(services)
        await say(services, 9)
        assert not await assistants_once(services)


async def test_one_that_cannot_be_called_is_not_called_again_and_holds_nothing_up(
    open_with: OpenWith,
) -> None:
    async with open_with(**AWAY, CHUNK_ASSISTANTS="1") as services:
        await live(services.store, waiting(3600))
        await say(services, 1)
        assert await assistants_once(services)
        await services.pool.execute("UPDATE assistants SET next_try_at = now() - interval '1 hour'")
        assert not await assistants_once(services)
        assert (await item_of(services)).status is Status.TRANSCODING
        await append(services.store, [f.transcoding_failed()])
        assert await assistants_once(services)
        assert await called(services) == []
