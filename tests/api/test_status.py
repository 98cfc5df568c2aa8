"""Status: what a frontend polls, for the owner alone, cheap when nothing changed."""

from uuid import UUID, uuid4

import httpx
import pytest

from tests.api.gpu import MESSAGE
from tests.api.studio import AUDIO, Studio

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def get(studio: Studio, media_id: UUID, *tags: str) -> httpx.Response:
    """The status, unless it is one of `tags`."""
    given = {"if_none_match": ", ".join(tags)} if tags else {}
    return await studio.get(f"/api/transcoding/status/{media_id}", **given)


async def test_status_of_a_ready_video_names_its_outputs(studio: Studio) -> None:
    job = await studio.ready()

    answer = await get(studio, job.media_id)

    assert answer.status_code == 200
    assert answer.json() == {
        "mediaId": str(job.media_id),
        "status": "ready",
        "error": None,
        "attempts": 1,
        "runpodJobId": job.job_id,
        "outputs": {
            "hlsMasterPlaylistKey": job.layout.master,
            "hlsPreviewKey": job.layout.preview,
            "thumbnailKey": job.layout.thumbnail,
            "waveformKey": None,
        },
        "progress": None,
        "version": 5,
    }


async def test_status_of_ready_audio_has_a_waveform_and_no_poster(studio: Studio) -> None:
    job = await studio.ready(AUDIO)

    outputs = (await studio.status(job.media_id)).outputs

    assert (outputs.thumbnail_key, outputs.waveform_key) == (None, job.layout.waveform)


async def test_status_of_a_failed_item_says_why_and_what_to_do(studio: Studio) -> None:
    job = await studio.failed()

    error = (await get(studio, job.media_id)).json()["error"]

    assert error == {
        "code": "encode_failed",
        "message": MESSAGE,
        "retryable": True,
        "hint": "Retry once; if it fails again, export the file anew and upload that.",
    }


async def test_a_foreign_and_a_missing_item_answer_alike(studio: Studio, stranger: Studio) -> None:
    job = await studio.transcoding()

    foreign = await get(stranger, job.media_id)
    missing = await get(stranger, uuid4())

    assert (foreign.status_code, foreign.json()["code"]) == (403, "access_denied")
    assert (foreign.status_code, foreign.content) == (missing.status_code, missing.content)
    assert foreign.headers.keys() == missing.headers.keys()


async def test_an_unchanged_status_is_304_without_a_body(studio: Studio) -> None:
    job = await studio.transcoding()
    first = await get(studio, job.media_id)

    again = await get(studio, job.media_id, first.headers["etag"])

    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert again.headers["cache-control"] == first.headers["cache-control"] == "private, no-cache"


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', '"other",W/{} ', "*"])
async def test_if_none_match_takes_lists_weak_tags_and_a_star(studio: Studio, form: str) -> None:
    media_id = (await studio.register()).media.id
    etag = (await get(studio, media_id)).headers["etag"]

    assert (await get(studio, media_id, form.format(etag))).status_code == 304


@pytest.mark.parametrize("tag", ['"other"', 'W/"other"', "", "{unquoted}", '"1-0'])
async def test_another_tag_gets_the_whole_status(studio: Studio, tag: str) -> None:
    media_id = (await studio.register()).media.id

    assert (await get(studio, media_id, tag)).status_code == 200


async def test_the_tag_changes_with_progress_and_with_the_state(studio: Studio) -> None:
    job = await studio.transcoding()
    seen = [(await get(studio, job.media_id)).headers["etag"]]
    for percent in (10.0, 20.0):
        await studio.gpu.progress(job, percent)
        seen.append((await get(studio, job.media_id)).headers["etag"])
    await studio.gpu.fail(job)
    seen.append((await get(studio, job.media_id)).headers["etag"])

    assert len(set(seen)) == 4
    assert (await get(studio, job.media_id, *seen[:3])).status_code == 200


async def test_a_foreign_item_is_not_confirmed_by_a_star(studio: Studio, stranger: Studio) -> None:
    media_id = (await studio.register()).media.id

    assert (await get(stranger, media_id, "*")).status_code == 403
