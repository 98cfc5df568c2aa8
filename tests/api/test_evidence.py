"""What an event rests on is kept, and the event names it."""

import hashlib
import json
from email.utils import parsedate_to_datetime
from typing import Any
from uuid import UUID

import pytest

from api.auth import Role
from domain.ports import WatchedJob
from tests.api.gpu import Job, completion, failure, take_jobs
from tests.api.studio import Studio

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def events_of(studio: Studio, media_id: UUID) -> list[dict[str, Any]]:
    history = (await studio.get(f"/api/media/{media_id}/events")).json()
    found: list[dict[str, Any]] = history["events"]
    return found


async def kept(studio: Studio, event: dict[str, Any]) -> tuple[str, bytes]:
    """Kind and body of the message that `event` rests on."""
    row = await studio.service.services.pool.fetchrow(
        "SELECT kind, body FROM evidence WHERE hash = $1", bytes.fromhex(event["evidence"])
    )
    assert row is not None
    assert hashlib.sha256(row["body"]).hexdigest() == event["evidence"]
    return row["kind"], row["body"]


async def test_what_the_worker_reported_is_kept_and_named_by_the_event(studio: Studio) -> None:
    job = await studio.transcoding()
    await studio.gpu.start(job)
    studio.gpu.write(job)
    body = completion(job).to_json().encode()
    await studio.gpu.deliver(body)

    *earlier, started, completed = await events_of(studio, job.media_id)
    assert [event["evidence"] for event in earlier] == [None] * 4
    assert await kept(studio, completed) == ("worker_callback", body)
    kind, said = await kept(studio, started)
    assert kind == "worker_callback"
    assert b'"started"' in said


async def test_a_failure_names_the_report_that_told_it(studio: Studio) -> None:
    job = await studio.transcoding()
    body = failure(job).to_json().encode()
    await studio.gpu.deliver(body)

    assert await kept(studio, (await events_of(studio, job.media_id))[-1]) == (
        "worker_callback",
        body,
    )


async def ended_at_runpod(studio: Studio, job: Job, result: dict[str, object]) -> None:
    """The job ends, its worker's callback is lost, and RunPod is asked."""
    settings = studio.service.settings
    taken = {each["id"] for each in await take_jobs(studio.service)}
    assert job.job_id in taken
    answer = await studio.service.network.post(
        f"{settings.runpod_base_url}/v2/{settings.runpod_endpoint_id}/job-done/tests/{job.job_id}",
        json=result,
        headers={"authorization": settings.runpod_api_key.get_secret_value()},
    )
    assert answer.is_success
    watched = WatchedJob(job.job_id, job.media_id, job.attempt)
    await studio.service.services.outcomes.reconcile(watched)


@pytest.mark.parametrize(
    ("result", "status", "last"),
    [
        ({"output": {}}, "COMPLETED", "media.transcoding_completed"),
        ({"error": "encode_failed: It stopped."}, "FAILED", "media.transcoding_failed"),
    ],
)
async def test_what_a_poll_answered_is_kept_and_named_by_the_event(
    studio: Studio, result: dict[str, object], status: str, last: str
) -> None:
    job = await studio.transcoding()
    if "output" in result:
        studio.gpu.write(job)
    await ended_at_runpod(studio, job, result)

    event = (await events_of(studio, job.media_id))[-1]
    assert (event["type"], event["actor"]) == (last, "system:reconciler")
    kind, body = await kept(studio, event)
    assert kind == "runpod_status"
    said = json.loads(body)
    assert (said["id"], said["status"]) == (job.job_id, status)


async def test_a_poll_that_changes_nothing_leaves_nothing(studio: Studio) -> None:
    count = "SELECT count(*) FROM evidence WHERE kind = 'runpod_status'"
    services = studio.service.services
    job = await studio.transcoding()
    before = await services.pool.fetchval(count)

    await services.outcomes.reconcile(WatchedJob(job.job_id, job.media_id, job.attempt))

    assert await services.pool.fetchval(count) == before


async def test_the_same_report_twice_is_kept_once(studio: Studio) -> None:
    job = await studio.transcoding()
    body = failure(job).to_json().encode()
    for _ in range(2):
        await studio.gpu.deliver(body)

    digest = hashlib.sha256(body).digest()
    count = "SELECT count(*) FROM evidence WHERE hash = $1"
    assert await studio.service.services.pool.fetchval(count, digest) == 1


async def test_a_report_about_an_attempt_that_is_over_leaves_nothing(studio: Studio) -> None:
    job = await studio.failed()
    body = completion(job).to_json().encode()
    await studio.gpu.deliver(body)

    digest = hashlib.sha256(body).digest()
    assert (
        await studio.service.services.pool.fetch("SELECT FROM evidence WHERE hash = $1", digest)
        == []
    )


async def test_auditors_fetch_the_message_that_an_event_names_and_that_is_kept(
    studio: Studio,
) -> None:
    job = await studio.transcoding()
    body = failure(job).to_json().encode()
    await studio.gpu.deliver(body)
    digest = (await events_of(studio, job.media_id))[-1]["evidence"]
    path, http = f"/api/audit/evidence/{digest}", studio.service.http

    answer = await http.get(path, headers=studio.auth(Role.AUDITOR))

    assert (answer.status_code, answer.content) == (200, body)
    assert answer.headers["evidence-kind"] == "worker_callback"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert parsedate_to_datetime(answer.headers["last-modified"]).tzinfo is not None
    newest = "SELECT what FROM audit_reads ORDER BY id DESC LIMIT 1"
    assert await studio.service.services.pool.fetchval(newest) == f"evidence {digest}"


@pytest.mark.parametrize(
    ("digest", "status", "code"),
    [
        ("0" * 64, 404, "no_evidence"),
        ("A" * 64, 422, "invalid_request"),
        ("0" * 63, 422, "invalid_request"),
    ],
)
async def test_a_message_that_is_not_kept_is_said_to_be_none(
    studio: Studio, digest: str, status: int, code: str
) -> None:
    path, http = f"/api/audit/evidence/{digest}", studio.service.http
    answer = await http.get(path, headers=studio.auth(Role.AUDITOR))
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_creators_fetch_no_messages(studio: Studio) -> None:
    answer = await studio.get(f"/api/audit/evidence/{'0' * 64}")
    assert (answer.status_code, answer.json()["code"]) == (403, "role_required")
