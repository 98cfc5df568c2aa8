"""Registering a file, sending it to the bucket, and saying that it is there."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.api.studio import AUDIO, VIDEO, Studio

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_registration_says_where_the_item_is_and_how_to_upload(studio: Studio) -> None:
    answer = await studio.post("/api/media", AUDIO.request())

    assert answer.status_code == 201
    media, upload = answer.json()["media"], answer.json()["upload"]
    assert answer.headers["location"] == f"/api/media/{media['id']}"
    assert (await studio.get(answer.headers["location"])).json() == media
    assert (media["status"], media["mediaType"], media["attempts"]) == ("uploading", "audio", 0)
    assert upload["method"] == "PUT"
    assert upload["headers"] == {
        "content-type": "audio/mpeg",
        "content-length": str(len(AUDIO.body)),
        "if-none-match": "*",
    }


async def test_the_presigned_put_puts_the_file_where_transcoding_looks(studio: Studio) -> None:
    registered = await studio.register()

    sent = await studio.put(registered.upload, VIDEO.body)

    assert sent.status_code == 200
    key = f"{studio.creator}/originals/{registered.media.id}/{VIDEO.file_name}"
    found = await studio.service.services.storage.read(key, 1000)
    assert found == VIDEO.body


async def test_f24_a_leaked_upload_url_replaces_nothing(studio: Studio) -> None:
    registered = await studio.register()
    await studio.put(registered.upload, VIDEO.body)

    again = await studio.put(registered.upload, b"X" * len(VIDEO.body))

    assert again.status_code == 412


async def test_a_file_name_never_makes_a_path(studio: Studio) -> None:
    clip = VIDEO._replace(file_name="../../bob/originals/ünïcode 100%.mp4")

    media_id = await studio.uploaded(clip)

    item = (await studio.get(f"/api/media/{media_id}")).json()
    assert item["fileName"] == clip.file_name
    listing = studio.service.services.storage.listing(f"{studio.creator}/originals/{media_id}/")
    assert [found.key.rsplit("/", 1)[1] async for found in listing] == ["unicode-100-.mp4"]


async def test_the_same_idempotency_key_names_the_same_item(studio: Studio) -> None:
    key = str(uuid4())

    first = await studio.register(idempotency_key=key)
    second = await studio.register(idempotency_key=key)

    assert first.media == second.media
    assert second.upload is not None
    assert await studio.events(first.media.id) == ["registered"]


async def test_a_repeated_registration_of_an_arrived_file_offers_no_upload(studio: Studio) -> None:
    first = await studio.register(idempotency_key="once")
    await studio.put(first.upload, VIDEO.body)
    await studio.complete(first.media.id)

    assert (await studio.register(idempotency_key="once")).upload is None


async def test_an_idempotency_key_serves_one_request_only(studio: Studio) -> None:
    await studio.register(idempotency_key="mine")

    answer = await studio.post("/api/media", AUDIO.request(), idempotency_key="mine")

    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


async def test_sixteen_registrations_at_once_under_one_key_make_one_item(studio: Studio) -> None:
    key = str(uuid4())
    requests = (studio.post("/api/media", VIDEO.request(), idempotency_key=key) for _ in range(16))

    answers = await asyncio.gather(*requests)

    assert {answer.status_code for answer in answers} == {201}
    (media_id,) = {answer.json()["media"]["id"] for answer in answers}
    assert await studio.events(media_id) == ["registered"]


async def test_of_two_requests_at_once_under_one_key_one_is_refused(studio: Studio) -> None:
    key = str(uuid4())
    clips = [VIDEO, AUDIO] * 8
    requests = (studio.post("/api/media", clip.request(), idempotency_key=key) for clip in clips)

    answers = await asyncio.gather(*requests)

    told = [answer.json().get("code", "taken") for answer in answers]
    assert sorted(told) == ["idempotency_key_reused"] * 8 + ["taken"] * 8
    assert len({answer.json()["media"]["id"] for answer in answers if answer.is_success}) == 1


async def test_two_creators_may_use_the_same_idempotency_key(
    studio: Studio, stranger: Studio
) -> None:
    mine = await studio.register(idempotency_key="shared")
    theirs = await stranger.register(idempotency_key="shared")

    assert mine.media.id != theirs.media.id


@pytest.mark.parametrize("key", ["", "k" * 256])
async def test_an_idempotency_key_has_1_to_255_characters(studio: Studio, key: str) -> None:
    answer = await studio.post("/api/media", VIDEO.request(), idempotency_key=key)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert "Idempotency-Key" in answer.json()["detail"]


async def post_raw(studio: Studio, body: bytes, content_type: str) -> httpx.Response:
    """A registration with exactly this body."""
    headers = studio.auth() | {"content-type": content_type}
    return await studio.service.http.post("/api/media", content=body, headers=headers)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"size": 0}, "size"),
        ({"size": -1}, "size"),
        ({"size": "many"}, "size"),
        ({"size": 1.5}, "size"),
        ({"size": None}, "size"),
        ({"fileName": ""}, "fileName"),
        ({"fileName": "n" * 256}, "fileName"),
        ({"fileName": "nul\x00.mp4"}, "fileName"),
        ({"fileName": 7}, "fileName"),
        ({"contentType": "video"}, "contentType"),
        ({"contentType": "video/mp4\r\nx-evil: 1"}, "contentType"),
        ({"contentType": "video/-mp4"}, "contentType"),
        ({"creatorId": "bob"}, "creatorId"),
    ],
)
async def test_a_wrong_field_is_named(studio: Studio, changed: dict[str, Any], field: str) -> None:
    answer = await studio.post("/api/media", VIDEO.request() | changed)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert field in answer.json()["detail"]


async def test_every_missing_field_is_named(studio: Studio) -> None:
    answer = await studio.post("/api/media", {})

    fields = {error["field"] for error in answer.json()["errors"]}
    assert fields == {"fileName", "contentType", "size"}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b"[" * 10_000])
async def test_what_is_no_json_object_is_refused(studio: Studio, body: bytes) -> None:
    answer = await post_raw(studio, body, "application/json")

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert [error["field"] for error in answer.json()["errors"]] == ["body"]


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded"])
async def test_a_body_of_another_type_is_refused(studio: Studio, content_type: str) -> None:
    answer = await post_raw(studio, json.dumps(VIDEO.request()).encode(), content_type)

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


async def test_json_with_a_charset_is_json(studio: Studio) -> None:
    body = json.dumps(VIDEO.request()).encode()

    assert (await post_raw(studio, body, "Application/JSON; charset=utf-8")).status_code == 201


async def test_a_body_over_64_kib_is_refused(studio: Studio) -> None:
    body = json.dumps(VIDEO.request() | {"fileName": "n" * 65_536}).encode()

    answer = await post_raw(studio, body, "application/json")

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("size", [5 * 1024**3 + 1, 2**63, 2**70])
async def test_a_file_over_the_limit_is_refused(studio: Studio, size: int) -> None:
    answer = await studio.post("/api/media", VIDEO.request() | {"size": size})

    assert answer.status_code == 422
    assert answer.json()["code"] == "upload_refused"
    assert str(size) in answer.json()["detail"]


@pytest.mark.parametrize("content_type", ["application/pdf", "image/png", "text/html"])
async def test_what_is_neither_video_nor_audio_is_refused(
    studio: Studio, content_type: str
) -> None:
    answer = await studio.post("/api/media", VIDEO.request() | {"contentType": content_type})

    assert (answer.status_code, answer.json()["code"]) == (422, "upload_refused")
    assert content_type in answer.json()["detail"]


async def test_the_content_types_case_does_not_matter(studio: Studio) -> None:
    answer = await studio.post("/api/media", VIDEO.request() | {"contentType": "Video/MP4"})

    assert (answer.status_code, answer.json()["media"]["contentType"]) == (201, "video/mp4")


async def test_an_upload_that_has_not_arrived_gets_a_fresh_url(studio: Studio) -> None:
    first = await studio.register()

    renewed = await studio.get(f"/api/media/{first.media.id}/upload")

    assert renewed.status_code == 200
    assert renewed.json()["media"]["id"] == str(first.media.id)
    upload = renewed.json()["upload"]
    sent = await studio.service.network.put(
        upload["url"], content=VIDEO.body, headers=upload["headers"]
    )
    assert sent.status_code == 200
    assert (await studio.complete(first.media.id)).status_code == 202
    late = await studio.get(f"/api/media/{first.media.id}/upload")
    assert (late.status_code, late.json()["code"]) == (409, "invalid_state")


async def test_f21_completing_before_the_file_is_there_is_a_conflict(studio: Studio) -> None:
    media_id = (await studio.register()).media.id

    answer = await studio.complete(media_id)

    assert (answer.status_code, answer.json()["code"]) == (409, "upload_missing")
    assert await studio.events(media_id) == ["registered"]


@pytest.mark.parametrize(
    ("body", "content_type", "told"),
    [(b"short", "video/mp4", "size"), (VIDEO.body, "text/plain", "content type")],
)
async def test_f22_a_file_other_than_declared_is_refused_and_may_be_put_right(
    studio: Studio, body: bytes, content_type: str, told: str
) -> None:
    media_id = (await studio.register()).media.id
    key = f"{studio.creator}/originals/{media_id}/{VIDEO.file_name}"
    studio.gpu.put(key, body, content_type)

    answer = await studio.complete(media_id)

    assert (answer.status_code, answer.json()["code"]) == (422, "upload_mismatch")
    assert told in answer.json()["detail"]
    assert (await studio.status(media_id)).status == "uploading"
    studio.gpu.put(key, VIDEO.body, VIDEO.content_type)
    assert (await studio.complete(media_id)).status_code == 202


async def test_f23_completing_twice_answers_the_same_and_happens_once(studio: Studio) -> None:
    media_id = await studio.uploaded()

    first = await studio.complete(media_id)
    second = await studio.complete(media_id)

    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert (await studio.events(media_id)).count("upload_completed") == 1
    assert (await studio.events(media_id)).count("transcoding_submitted") == 1
