"""A completed upload triggers transcoding; RunPod may say yes, no, or nothing."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from botocore.client import BaseClient

from domain.events import Context
from domain.lifecycle import Status
from domain.use_cases import Registration
from gpu_worker.contract import JobInput
from infra import capability
from infra.embedded.ports import free_port
from infra.loops import dispatch_once
from infra.settings import load
from tests.api.gpu import WEBHOOK, take_jobs
from tests.api.service import running
from tests.api.studio import VIDEO, Studio
from tests.conftest import PUBLIC_URL

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_completed_upload_is_handed_to_runpod(studio: Studio) -> None:
    media_id = await studio.uploaded()

    answer = await studio.complete(media_id)

    assert answer.status_code == 202
    assert (answer.json()["status"], answer.json()["attempts"]) == ("transcoding", 1)
    status = await studio.status(media_id)
    settings = studio.service.settings
    job = await studio.service.network.get(
        f"{settings.runpod_base_url}/v2/{settings.runpod_endpoint_id}/status/{status.runpod_job_id}",
        headers={"authorization": f"Bearer {settings.runpod_api_key.get_secret_value()}"},
    )
    assert job.json()["status"] == "IN_QUEUE"
    assert await studio.events(media_id) == [
        "registered",
        "upload_completed",
        "transcoding_requested",
        "transcoding_submitted",
    ]


async def test_the_job_names_the_upload_and_holds_no_secret(studio: Studio) -> None:
    traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    media_id = await studio.uploaded()
    await studio.post(f"/api/media/{media_id}/complete", traceparent=traceparent)
    job = await studio.job(media_id)

    taken = next(each for each in await take_jobs(studio.service) if each["id"] == job.job_id)

    wanted = JobInput.model_validate(taken["input"])
    assert (wanted.media_id, wanted.attempt, wanted.attempt_id) == job[:3]
    assert wanted.input_key == f"{studio.creator}/originals/{media_id}/{VIDEO.file_name}"
    assert wanted.input_etag
    assert wanted.webhook_url == f"{PUBLIC_URL}{WEBHOOK}"
    assert str(wanted.traceparent)[:36] == traceparent[:36], "in the same trace"
    settings = studio.service.settings
    secret = settings.webhook_secrets.get_secret_value()
    assert not any(part in str(taken["input"]) for part in secret.split())
    token = str(taken["webhook"]).removeprefix(f"{PUBLIC_URL}{WEBHOOK}/")
    found = capability.verify(settings.capability_keys, token, "webhook", 0)
    assert (found.media_id, found.attempt) == (media_id, 1)


async def test_an_upload_stands_while_runpod_is_away_and_is_sent_later(
    environ: dict[str, str], s3: BaseClient
) -> None:
    away = load(environ | {"RUNPOD_BASE_URL": f"http://127.0.0.1:{free_port()}"})
    async with running(away) as service:
        studio = Studio(service, s3, "alice")
        media_id = await studio.uploaded()

        answer = await studio.complete(media_id)

        assert (answer.status_code, answer.json()["status"]) == (202, "transcoding")
        waiting = await service.services.pool.fetchrow("SELECT * FROM outbox")
        assert waiting is not None
        assert (waiting["media_id"], waiting["attempt"], waiting["tries"]) == (media_id, 1, 1)
        assert "RunPod could not be reached" in waiting["last_error"]
        await service.services.pool.execute("UPDATE outbox SET next_try_at = now()")
        await studio.check_books()

    async with running(load(environ)) as service:
        assert await dispatch_once(service.services)
        studio.service = service
        assert (await studio.status(media_id)).runpod_job_id
        assert await service.services.pool.fetchval("SELECT count(*) FROM outbox") == 0
        await studio.check_books()


async def test_runpods_no_fails_the_attempt_and_not_the_upload(
    environ: dict[str, str], s3: BaseClient
) -> None:
    async with running(load(environ | {"RUNPOD_API_KEY": "not-the-key"})) as service:
        studio = Studio(service, s3, "alice")
        media_id = await studio.uploaded()

        answer = await studio.complete(media_id)

        assert (answer.status_code, answer.json()["status"]) == (202, "failed")
        error = answer.json()["error"]
        assert error["code"] == "submit_rejected"
        assert error["retryable"] is True
        assert "Nothing is wrong with the file" in error["hint"]
        assert "not-the-key" not in answer.text
        assert await service.services.pool.fetchval("SELECT count(*) FROM outbox") == 0
        await studio.check_books()


async def test_an_upload_that_expired_cannot_be_completed(studio: Studio) -> None:
    media_id = await expired(studio)

    answer = await studio.complete(media_id)

    assert (answer.status_code, answer.json()["code"]) == (409, "invalid_state")
    status = await studio.status(media_id)
    assert status.status is Status.FAILED
    assert status.error is not None
    assert status.error.code == "upload_expired"
    assert status.runpod_job_id is None


async def expired(studio: Studio) -> UUID:
    """An item whose file never came, registered with no time to send it."""
    services = studio.service.services
    uploads = replace(services.uploads, window=timedelta(0))
    wanted = Registration(studio.creator, VIDEO.file_name, VIDEO.content_type, len(VIDEO.body))
    context = Context(actor=f"creator:{studio.creator}", correlation_id=uuid4())
    media_id = (await uploads.register(wanted, context)).media_id
    await uploads.expire(media_id)
    studio.media.append(media_id)
    return media_id
