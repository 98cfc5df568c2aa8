"""Erasing an item over HTTP, and what is left of it anywhere."""

from uuid import UUID

import httpx
import pytest

from api.auth import Role
from tests.api.gpu import MESSAGE
from tests.api.studio import VIDEO, Studio

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def erase(studio: Studio, media_id: UUID, *roles: Role) -> httpx.Response:
    return await studio.service.http.delete(f"/api/media/{media_id}", headers=studio.auth(*roles))


async def sweep(studio: Studio) -> None:
    """What the eraser does until nothing is due."""
    while await studio.service.services.erasure.step():
        pass


def keys(studio: Studio) -> list[str]:
    bucket = studio.service.settings.r2_bucket
    found = studio.s3.list_objects_v2(Bucket=bucket, Prefix=f"{studio.creator}/")
    return [each["Key"] for each in found.get("Contents", [])]


async def test_an_erased_item_is_gone_but_for_its_history(studio: Studio) -> None:
    media_id = (await studio.ready()).media_id
    assert len(keys(studio)) > 5

    answer = await erase(studio, media_id)

    assert answer.status_code == 202
    shown = answer.json()
    assert (shown["status"], shown["fileName"], shown["error"]) == ("erased", None, None)
    assert set(shown["outputs"].values()) == {None}
    await sweep(studio)
    assert keys(studio) == []
    assert (await studio.status(media_id)).status == "erased"
    playback = await studio.get(f"/api/media/{media_id}/playback")
    assert (playback.status_code, playback.json()["code"]) == (409, "invalid_state")
    history = await studio.get(f"/api/media/{media_id}/events")
    assert history.json()["events"][-1]["payload"]["reason"] == "creator_request"
    assert VIDEO.file_name not in history.text


async def test_its_past_is_shown_without_what_was_erased(studio: Studio) -> None:
    media_id = (await studio.failed()).media_id
    path = f"/api/media/{media_id}"
    before = await studio.get(f"{path}/events")
    assert before.json()["events"][0]["personal"]["fields"]["fileName"] == VIDEO.file_name
    failed_at = len(before.json()["events"])

    await erase(studio, media_id)

    past = (await studio.get(f"{path}?version=1")).json()
    assert (past["status"], past["fileName"]) == ("uploading", None)
    past = (await studio.get(f"{path}?version={failed_at}")).json()
    assert (past["status"], past["error"]["code"]) == ("failed", "encode_failed")
    assert past["error"]["message"] == "This text was erased."
    assert MESSAGE not in (await studio.get(f"{path}/events")).text


async def test_lists_leave_erased_items_out_unless_they_are_asked_for(studio: Studio) -> None:
    kept, gone = (await studio.register()).media.id, (await studio.register()).media.id
    await erase(studio, gone)

    def ids(answer: httpx.Response) -> list[str]:
        return [item["id"] for item in answer.json()["items"]]

    assert ids(await studio.get("/api/media")) == [str(kept)]
    assert ids(await studio.get("/api/media?status=erased")) == [str(gone)]


async def test_asked_twice_it_answers_the_same_and_happens_once(studio: Studio) -> None:
    media_id = (await studio.register()).media.id

    first, second = await erase(studio, media_id), await erase(studio, media_id)

    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert (await studio.events(media_id)).count("erased") == 1


async def test_an_admin_erases_anybodys_and_is_named(studio: Studio, stranger: Studio) -> None:
    media_id = (await studio.register()).media.id
    refused = await erase(stranger, media_id)
    assert (refused.status_code, refused.json()["code"]) == (403, "access_denied")

    answer = await erase(stranger, media_id, Role.ADMIN)

    assert answer.status_code == 202
    history = (await studio.get(f"/api/media/{media_id}/events")).json()
    *_, last = history["events"]
    assert last["actor"] == last["payload"]["actor"] == f"admin:{stranger.creator}"
    assert last["payload"]["reason"] == "admin"


async def test_an_admin_who_is_the_creator_acts_as_such(studio: Studio) -> None:
    media_id = (await studio.register()).media.id
    await erase(studio, media_id, Role.CREATOR, Role.ADMIN)
    history = (await studio.get(f"/api/media/{media_id}/events")).json()
    assert history["events"][-1]["payload"]["reason"] == "creator_request"


async def test_a_worker_that_goes_on_leaves_nothing_behind(studio: Studio) -> None:
    job = await studio.transcoding()
    await erase(studio, job.media_id)
    await sweep(studio)

    answer = await studio.gpu.finish(job)

    assert answer.json() == {"verdict": "stale"}
    assert len(keys(studio)) > 5
    pool = studio.service.services.pool
    assert await pool.fetchval(
        "SELECT count(*) FROM webhook_inbox WHERE media_id = $1 AND body <> ''", job.media_id
    ) == 0  # fmt: skip
    await pool.execute("UPDATE erasures SET next_try_at = now() WHERE media_id = $1", job.media_id)
    await sweep(studio)
    assert keys(studio) == []


async def test_an_upload_that_was_erased_takes_no_file(studio: Studio) -> None:
    registered = await studio.register()
    media_id = registered.media.id
    await erase(studio, media_id)

    assert (await studio.complete(media_id)).status_code == 409
    assert (await studio.get(f"/api/media/{media_id}/upload")).status_code == 409
    retried = await studio.retry(media_id)
    assert (retried.status_code, retried.json()["code"]) == (400, "retry_refused")


async def test_figures_count_what_is_being_removed(studio: Studio) -> None:
    await erase(studio, (await studio.register()).media.id)
    told = (await studio.service.http.get("/metrics")).text
    waiting = next(line for line in told.splitlines() if line.startswith("codex_media_erasures_w"))
    assert float(waiting.split()[-1]) >= 1
