"""One manual retry of what failed; a refusal says why."""

import pytest

from tests.api.studio import Studio
from tests.api.test_trigger import expired

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_failed_item_is_tried_once_more(studio: Studio) -> None:
    first = await studio.failed()

    answer = await studio.retry(first.media_id)

    assert answer.status_code == 202
    assert (answer.json()["status"], answer.json()["attempts"]) == ("transcoding", 2)
    assert answer.json()["error"] is None
    second = await studio.job(first.media_id)
    assert second.job_id != first.job_id
    assert second.attempt_id != first.attempt_id
    assert (await studio.events(first.media_id))[-3:] == [
        "retry_requested",
        "transcoding_requested",
        "transcoding_submitted",
    ]


async def test_a_retry_can_end_ready(studio: Studio) -> None:
    media_id = (await studio.failed()).media_id
    await studio.retry(media_id)

    verdict = await studio.gpu.finish(await studio.job(media_id))

    assert verdict.json() == {"verdict": "ready"}
    status = await studio.status(media_id)
    assert (status.status, status.attempts, status.error) == ("ready", 2, None)


async def test_a_retry_is_refused_when_both_attempts_are_used_up(studio: Studio) -> None:
    media_id = (await studio.failed()).media_id
    await studio.retry(media_id)
    await studio.gpu.fail(await studio.job(media_id))

    answer = await studio.retry(media_id)

    assert (answer.status_code, answer.json()["code"]) == (400, "retry_refused")
    assert "All 2 attempts are used up" in answer.json()["detail"]
    assert (await studio.status(media_id)).attempts == 2


async def test_a_retry_is_refused_for_what_has_not_failed(studio: Studio) -> None:
    ready = (await studio.ready()).media_id
    uploading = (await studio.register()).media.id
    for media_id, status in ((ready, "ready"), (uploading, "uploading")):
        before = await studio.events(media_id)

        answer = await studio.retry(media_id)

        assert (answer.status_code, answer.json()["code"]) == (400, "retry_refused")
        assert f"this one is {status}" in answer.json()["detail"]
        assert await studio.events(media_id) == before


async def test_a_retry_is_refused_for_a_file_that_never_came(studio: Studio) -> None:
    answer = await studio.retry(await expired(studio))

    assert (answer.status_code, answer.json()["code"]) == (400, "retry_refused")
    assert "never arrived" in answer.json()["detail"]


async def test_f19_a_retry_is_in_conflict_with_a_running_job(studio: Studio) -> None:
    media_id = (await studio.transcoding()).media_id

    answer = await studio.retry(media_id)

    assert (answer.status_code, answer.json()["code"]) == (409, "transcoding_running")


async def test_nobody_retries_what_is_somebody_elses(studio: Studio, stranger: Studio) -> None:
    media_id = (await studio.failed()).media_id

    answer = await stranger.retry(media_id)

    assert (answer.status_code, answer.json()["code"]) == (403, "access_denied")
    assert (await studio.status(media_id)).attempts == 1


@pytest.mark.parametrize("body", [{}, {"mediaId": "no-uuid"}, {"mediaId": None}, []])
async def test_a_retry_without_an_id_names_what_is_wrong(studio: Studio, body: object) -> None:
    answer = await studio.post("/api/transcoding/retry", body)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["errors"]
