"""Large files in parts: resumed, joined once, given up without a trace."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import httpx
import pytest
import pytest_asyncio
from botocore.client import BaseClient
from pydantic import BaseModel

from api.cli.file import examine
from codex_media import MediaClient, Registered, sending
from codex_media.models import PartsUpload
from domain.use_cases.parts import MAX_PARTS, MIB, part_size
from infra.loops import sweep_once, tidy_once
from infra.settings import Settings, load
from tests.api.service import running
from tests.api.studio import VIDEO, Clip, Studio
from tests.conftest import Tokens

if TYPE_CHECKING:
    from uuid import UUID

PART = 5 * MIB
BODY = b"".join(bytes([number]) * PART for number in (1, 2)) + b"the end"
FILM = Clip("film.mp4", "video/mp4", BODY)
IN_PARTS = {"MULTIPART_THRESHOLD_BYTES": str(MIB), "MULTIPART_PART_BYTES": str(PART)}
SLOW = 1.1


class Cinema(NamedTuple):
    """A creator with large files."""

    studio: Studio
    bucket: str

    def under_way(self) -> list[str]:
        """Uploads in parts that the bucket still has."""
        found = self.studio.s3.list_multipart_uploads(Bucket=self.bucket)
        return [upload["UploadId"] for upload in found.get("Uploads", [])]

    async def offered(self, media_id: "UUID") -> PartsUpload:
        """What is missing now."""
        answer = await self.studio.get(f"/api/media/{media_id}/upload")
        assert answer.status_code == 200, answer.text
        return parts_of(Registered.model_validate_json(answer.content))

    async def put(self, upload: PartsUpload, *numbers: int) -> None:
        """Send these parts, with no header that a browser would not send by itself."""
        for part in upload.parts:
            if part.number in numbers:
                begin = (part.number - 1) * upload.part_size
                body = BODY[begin : begin + part.size]
                answer = await self.studio.service.network.put(part.url, content=body)
                assert answer.status_code == 200, answer.text

    async def tidied(self) -> bool:
        """Whether nothing is left after the tidier's turn, in the bucket or on our side."""
        await tidy_once(self.studio.service.services)
        pool = self.studio.service.services.pool
        return self.under_way() == await pool.fetch("SELECT FROM part_uploads") == []


def parts_of(registered: BaseModel) -> PartsUpload:
    """How to send a large file, as the client understands the answer."""
    understood = Registered.model_validate_json(registered.model_dump_json(by_alias=True))
    assert isinstance(understood.upload, PartsUpload)
    return understood.upload


@pytest_asyncio.fixture
async def cinema(environ: dict[str, str], bucket: str, s3: BaseClient) -> AsyncIterator[Cinema]:
    """A service that takes files over 1 MiB in parts."""
    async with running(load(environ | IN_PARTS)) as service:
        studio = Studio(service, s3, "alice")
        yield Cinema(studio, bucket)
        await studio.check_books()


async def test_f24_a_large_file_is_resumed_and_joined_once(cinema: Cinema) -> None:
    registered = await cinema.studio.register(FILM)
    media_id, upload = registered.media.id, parts_of(registered)
    assert [(part.number, part.size) for part in upload.parts] == [(1, PART), (2, PART), (3, 7)]
    assert (upload.part_size, upload.done) == (PART, [])
    await cinema.put(upload, 2)
    refused = await cinema.studio.complete(media_id)
    assert (refused.status_code, refused.json()["code"]) == (409, "upload_incomplete")
    upload = await cinema.offered(media_id)
    assert ([part.number for part in upload.parts], upload.done) == ([1, 3], [2])
    await cinema.put(upload, 1, 3)
    answers = [await cinema.studio.complete(media_id) for _ in range(2)]
    assert {answer.status_code for answer in answers} == {202}
    item = (await cinema.studio.get(f"/api/media/{media_id}")).json()
    assert (item["status"], item["size"]) == ("transcoding", len(BODY))
    (key,) = [each["Key"] for each in objects(cinema)]
    assert cinema.studio.s3.get_object(Bucket=cinema.bucket, Key=key)["Body"].read() == BODY
    late = await cinema.studio.service.network.put(upload.parts[0].url, content=b"x" * PART)
    assert late.is_error, "nothing overwrites a file that arrived"
    assert await cinema.tidied()
    assert (await cinema.studio.complete(media_id)).status_code == 202
    types = await cinema.studio.events(media_id)
    assert types[:3] == ["registered", "upload_completed", "transcoding_requested"]


def objects(cinema: Cinema) -> list[dict[str, str]]:
    """What is in the bucket."""
    found: list[dict[str, str]] = cinema.studio.s3.list_objects_v2(Bucket=cinema.bucket).get(
        "Contents", []
    )
    return found


async def test_a_crash_between_joining_and_saying_so_loses_nothing(cinema: Cinema) -> None:
    registered = await cinema.studio.register(FILM)
    media_id, services = registered.media.id, cinema.studio.service.services
    await cinema.put(parts_of(registered), 1, 2, 3)
    await services.parts.join(media_id, (await services.uploads.renew(media_id, "alice")).item)
    assert (await cinema.offered(media_id)).done == [1, 2, 3]
    assert (await cinema.studio.complete(media_id)).status_code == 202


async def test_a_part_of_another_size_is_missing_still(cinema: Cinema) -> None:
    registered = await cinema.studio.register(FILM)
    first = parts_of(registered).parts[0]  # moto does not hold it to its signature
    await cinema.studio.service.network.put(first.url, content=b"x" * (PART + 1))
    await cinema.put(parts_of(registered), 2, 3)
    assert [part.number for part in (await cinema.offered(registered.media.id)).parts] == [1]
    assert (await cinema.studio.complete(registered.media.id)).status_code == 409


async def test_asked_for_twice_at_once_there_is_one_upload(cinema: Cinema) -> None:
    both = await asyncio.gather(
        *(cinema.studio.register(FILM, idempotency_key="one") for _ in range(2))
    )
    assert len({parts_of(each).parts[0].url.split("uploadId=")[1][:20] for each in both}) == 1
    assert len(cinema.under_way()) == 1


async def test_an_upload_that_the_bucket_has_dropped_begins_anew(cinema: Cinema) -> None:
    registered = await cinema.studio.register(FILM)
    await cinema.put(parts_of(registered), 1)
    await cinema.studio.service.services.parts.parts.abort(
        await cinema.studio.service.services.parts.book.find(registered.media.id)  # type: ignore[arg-type]  # there is one
    )
    upload = await cinema.offered(registered.media.id)
    assert upload.done == []
    await cinema.put(upload, 1, 2, 3)
    assert (await cinema.studio.complete(registered.media.id)).status_code == 202


async def test_giving_up_leaves_nothing_to_pay_for(cinema: Cinema) -> None:
    registered = await cinema.studio.register(FILM)
    path = f"/api/media/{registered.media.id}/upload"
    await cinema.put(parts_of(registered), 1)
    http, auth = cinema.studio.service.http, cinema.studio.auth()
    for _ in range(2):
        answer = await http.delete(path, headers=auth)
        assert answer.status_code == 200
        assert answer.json()["error"]["code"] == "upload_expired"
    assert (await cinema.studio.get(path)).status_code == 409
    assert await cinema.studio.events(registered.media.id) == ["registered", "upload_expired"]
    assert await cinema.tidied()
    taken = await cinema.studio.transcoding(VIDEO)
    answer = await http.delete(f"/api/media/{taken.media_id}/upload", headers=auth)
    assert (answer.status_code, answer.json()["code"]) == (409, "invalid_state")


async def test_f25_what_never_came_whole_expires_with_its_parts(
    environ: dict[str, str], bucket: str, s3: BaseClient
) -> None:
    settings = load(environ | IN_PARTS | {"UPLOAD_WINDOW_S": "1"})
    async with running(settings) as service:
        cinema = Cinema(Studio(service, s3, "alice"), bucket)
        registered = await cinema.studio.register(FILM)
        await cinema.put(parts_of(registered), 1)
        await tidy_once(service.services)
        assert len(cinema.under_way()) == 1, "it may still come"
        await asyncio.sleep(SLOW)
        await sweep_once(service.services)
        assert await cinema.studio.events(registered.media.id) == ["registered", "upload_expired"]
        assert await cinema.tidied()


@pytest.fixture
def large(environ: dict[str, str]) -> None:
    """Files over 1 MiB in parts, for the service that `listening` starts."""
    environ |= IN_PARTS


def test_the_command_sends_only_what_is_missing_and_tries_again(
    large: None,
    listening: Settings,
    token: Tokens,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sending, "FIRST_PAUSE_S", 0.01)
    file, sent = tmp_path / "film.mp4", list[int]()
    file.write_bytes(BODY)
    with MediaClient(listening.public_app_url, token()) as client:
        registered = client.register(*examine(file, None).announced)
        media_id, upload = registered.media.id, parts_of(registered)
        assert httpx.put(upload.parts[1].url, content=BODY[PART : 2 * PART]).is_success
        upload = parts_of(client.renew(media_id))
        dead = upload.parts[0].model_copy(update={"url": "http://127.0.0.1:9/expired"})
        broken = upload.model_copy(update={"parts": [dead, *upload.parts[1:]]})
        sending.send(client, media_id, file, broken, sent.append)
        assert parts_of(client.renew(media_id)).done == [1, 2, 3]
        assert sum(sent) == PART + 7
        assert client.complete(media_id).status == "transcoding"


@pytest.mark.parametrize("size", [1, 70 * MIB, 5 * 1024**3, 5 * 1024**3 + 1, 5 * 1024**4])
def test_no_file_has_more_parts_than_an_answer_may_name(size: int) -> None:
    each = part_size(size, 16 * MIB)
    assert each >= 16 * MIB
    assert each % MIB == 0
    assert -(-size // each) <= MAX_PARTS
