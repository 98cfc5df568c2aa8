"""Presigned URLs, on a store that checks signatures, expiry and signed headers."""

import asyncio
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from domain.errors import StorageUnavailable
from domain.part_ports import PartUpload
from domain.ports import PresignedUpload
from infra.embedded.object_store import BucketKeys, ObjectStore, allow_pages, start_object_store
from infra.embedded.supervisor import Supervisor
from infra.object_storage import S3ObjectStorage, open_storage
from infra.settings import load
from tests.infra.variables import ENVIRON

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEYS = BucketKeys("ourkey", "oursecret")
KEY = "creator-1/originals/0190a1b2/clip.mp4"
BODY = b"0123456789"
PATIENCE_S = 10


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seaweed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ObjectStore]:
    """A store that checks signatures, expiry and signed headers."""
    async with Supervisor(tmp_path_factory.mktemp("seaweed")) as supervisor:
        yield await start_object_store(supervisor, KEYS, "media")


def of(store: ObjectStore, **changed: str) -> dict[str, str]:
    """The variables of a service on `store`."""
    return (
        ENVIRON
        | {
            "R2_ENDPOINT": store.endpoint,
            "R2_BUCKET": store.bucket,
            "R2_REGION": store.region,
            "R2_ACCESS_KEY_ID": KEYS.access_key_id,
            "R2_SECRET_ACCESS_KEY": KEYS.secret_access_key,
        }
        | changed
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def signed(seaweed: ObjectStore) -> AsyncIterator[S3ObjectStorage]:
    """The bucket in that store."""
    async with open_storage(load(of(seaweed))) as storage:
        yield storage


async def put(upload: PresignedUpload, body: bytes = BODY, **headers: str) -> int:
    """The status of an upload as a browser would send it, with some headers changed."""
    sent = upload.headers | {name.replace("_", "-"): value for name, value in headers.items()}
    sent = {name: value for name, value in sent.items() if value}
    sent["content-length"] = str(len(body))
    async with httpx.AsyncClient(timeout=PATIENCE_S, trust_env=False) as client:
        return (await client.put(upload.url, content=body, headers=sent)).status_code


async def get(url: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=PATIENCE_S, trust_env=False) as client:
        return await client.get(url)


async def test_f24_presigned_put_takes_the_declared_file_once(signed: S3ObjectStorage) -> None:
    upload = await signed.presign_put(KEY, "video/mp4", len(BODY))
    assert await put(upload) == 200
    found = await signed.head(KEY)
    assert found is not None
    assert (found.size, found.content_type) == (len(BODY), "video/mp4")
    assert await put(upload, b"abcdefghij") == 412
    assert await signed.read(KEY, 100) == BODY


async def test_f22_presigned_put_refuses_all_but_what_was_declared(signed: S3ObjectStorage) -> None:
    key = f"{KEY}.other"
    upload = await signed.presign_put(key, "video/mp4", len(BODY))
    assert await put(upload, BODY + b"x") == 403
    assert await put(upload, BODY[1:]) == 403
    assert await put(upload, content_type="text/html") == 403
    assert await put(upload, content_type="") == 403
    assert await put(upload, if_none_match="") == 403, "overwriting must need another URL"
    assert await signed.head(key) is None


@pytest.mark.parametrize("part", ["X-Amz-Signature", "X-Amz-Expires", "X-Amz-Credential", "key"])
async def test_tampered_url_is_refused(signed: S3ObjectStorage, part: str) -> None:
    upload = await signed.presign_put("a/tampered", "video/mp4", len(BODY))
    if part == "key":
        url = upload.url.replace("a/tampered", "b/tampered")
    else:
        before, found, after = upload.url.partition(f"{part}=")
        url = f"{before}{found}{'1' if after[0] != '1' else '2'}{after[1:]}"
    assert url != upload.url
    assert await put(upload._replace(url=url)) == 403
    assert [found async for found in signed.listing("")] == [
        found async for found in signed.listing("creator-1/")
    ]


async def test_url_is_refused_once_it_expired(seaweed: ObjectStore) -> None:
    async with open_storage(load(of(seaweed, UPLOAD_URL_TTL_S="1"))) as storage:
        upload = await storage.presign_put("late", "video/mp4", len(BODY))
        left_s = upload.expires_at.timestamp() - time.time()
        assert 0 < left_s <= 1
        await asyncio.sleep(left_s + 1)
        assert await put(upload) == 403
        assert await storage.head("late") is None


async def test_presigned_get_serves_the_object_and_nothing_else(signed: S3ObjectStorage) -> None:
    await put(await signed.presign_put("a/read", "video/mp4", len(BODY)))
    url = await signed.presign_get("a/read", 60)
    answer = await get(url)
    assert (answer.status_code, answer.content) == (200, BODY)
    assert (await get(url.replace("a/read", KEY))).status_code == 403
    assert (await get(url.split("?")[0])).status_code == 403


PART = 5 * 1024 * 1024
SIZES = {1: PART, 2: len(BODY)}


async def begun(storage: S3ObjectStorage, key: str) -> tuple[PartUpload, dict[int, str]]:
    """An upload of two parts."""
    upload_id = await storage.parts().begin(key, "video/mp4")
    upload = PartUpload(uuid4(), upload_id, key, PART)
    return upload, (await storage.parts().presign(upload, SIZES))[0]


async def put_part(url: str, body: bytes) -> int:
    """The status of a part as a browser would send it."""
    async with httpx.AsyncClient(timeout=PATIENCE_S, trust_env=False) as client:
        return (await client.put(url, content=body)).status_code


async def test_f22_a_part_takes_its_own_size_and_nothing_else(signed: S3ObjectStorage) -> None:
    upload, urls = await begun(signed, "a/parts")
    assert await put_part(urls[2], BODY + b"x") == 403
    assert await put_part(urls[2], BODY[1:]) == 403
    assert await put_part(urls[2].replace("partNumber=2", "partNumber=3"), BODY) == 403
    assert await signed.parts().found(upload) == {}
    await signed.parts().abort(upload)
    assert await put_part(urls[2], BODY) == 404
    await signed.parts().abort(upload)


async def test_f24_joined_twice_at_once_there_is_one_file_and_no_part_changes_it(
    signed: S3ObjectStorage,
) -> None:
    upload, urls = await begun(signed, "a/joined")
    parts = signed.parts()
    assert await put_part(urls[1], b"x" * PART) == 200
    assert await put_part(urls[2], BODY) == 200
    found = await parts.found(upload)
    assert found is not None
    assert {number: part.size for number, part in found.items()} == SIZES
    assert any(await asyncio.gather(*(parts.join(upload, found) for _ in range(4))))
    there = await signed.head("a/joined")
    assert there is not None
    assert (there.size, there.content_type) == (PART + len(BODY), "video/mp4")
    assert await parts.found(upload) is None
    assert await put_part(urls[2], BODY[::-1]) == 404
    assert await signed.head("a/joined") == there


async def test_the_local_store_lets_our_pages_upload(seaweed: ObjectStore) -> None:
    url = f"{seaweed.endpoint}/{seaweed.bucket}/{KEY}"
    asked = {"origin": "http://127.0.0.1:8000", "access-control-request-method": "PUT"}
    asked["access-control-request-headers"] = "content-type,if-none-match"
    await allow_pages(seaweed, KEYS, [asked["origin"]])
    async with httpx.AsyncClient(timeout=PATIENCE_S, trust_env=False) as client:
        allowed = await client.options(url, headers=asked)
        refused = await client.options(url, headers=asked | {"origin": "https://evil.test"})
    assert allowed.headers["access-control-allow-origin"] in {"*", asked["origin"]}
    assert "PUT" in allowed.headers["access-control-allow-methods"]
    assert "access-control-allow-origin" not in refused.headers


async def test_wrong_keys_are_an_unavailable_bucket(seaweed: ObjectStore) -> None:
    async with open_storage(load(of(seaweed, R2_SECRET_ACCESS_KEY="guessed"))) as storage:
        with pytest.raises(StorageUnavailable, match="SignatureDoesNotMatch"):
            await storage.read(KEY, 100)
        with pytest.raises(StorageUnavailable):
            await storage.head(KEY)


async def test_url_carries_the_id_of_the_key_but_never_the_key(signed: S3ObjectStorage) -> None:
    upload = await signed.presign_put(KEY, "video/mp4", 1)
    assert KEYS.access_key_id in upload.url
    assert KEYS.secret_access_key not in upload.url
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in urlsplit(upload.url).query
