"""Reads, listings and failures of the bucket."""

import asyncio

import pytest
from moto.s3.models import s3_backends

from domain.errors import StorageUnavailable
from domain.ports import FoundObject
from infra.embedded.ports import free_port
from infra.object_storage import ListedObject, ObjectTooLarge, S3ObjectStorage, open_storage
from infra.settings import load
from tests.infra.bucket import OpenBucket
from tests.infra.variables import ENVIRON

pytestmark = pytest.mark.asyncio(loop_scope="module")

BODY = b"0123456789"
PATIENCE_S = 10
MOTO_ACCOUNT = "123456789012"


async def test_object_is_found_and_read(open_bucket: OpenBucket) -> None:
    await open_bucket.put({"a/b": BODY}, "text/x-found")
    assert await open_bucket.storage.head("a/b") == FoundObject(
        len(BODY), "781e5e245d69b566979b86e28d23f2c7", "text/x-found"
    )
    assert await open_bucket.storage.read("a/b", len(BODY)) == BODY


async def test_object_that_is_not_there_is_none(open_bucket: OpenBucket) -> None:
    assert await open_bucket.storage.head("a/b") is None
    assert await open_bucket.storage.read("a/b", 100) is None
    assert [found async for found in open_bucket.storage.listing("a/")] == []


async def test_object_with_more_bytes_than_wanted_is_not_read(open_bucket: OpenBucket) -> None:
    await open_bucket.put({"a/b": BODY})
    with pytest.raises(ObjectTooLarge, match="a/b has more than 9 bytes"):
        await open_bucket.storage.read("a/b", len(BODY) - 1)
    assert await open_bucket.storage.read("a/b", len(BODY)) == BODY


async def test_listing_goes_beyond_one_page(open_bucket: OpenBucket) -> None:
    keys = [f"many/{number:04}" for number in range(1005)]
    backend = s3_backends[MOTO_ACCOUNT]["aws"]  # over HTTP this would take ten seconds
    for key in (*keys, "manyfold", "m"):
        backend.put_object(open_bucket.name, key, b"xyz")
    found = [found async for found in open_bucket.storage.listing("many/")]
    assert found == [ListedObject(key, 3, "d16fb36f0911f878998c136191af705e") for key in keys]


async def test_bucket_that_is_there_answers_a_ping(open_bucket: OpenBucket) -> None:
    await open_bucket.storage.ping()


async def fails_every_call(storage: S3ObjectStorage) -> None:
    """Every call that needs an answer says that there was none."""
    for call in (storage.ping, lambda: storage.head("a"), lambda: storage.read("a", 1)):
        with pytest.raises(StorageUnavailable, match="the bucket"):
            await call()
    with pytest.raises(StorageUnavailable, match="the bucket"):
        _ = [found async for found in storage.listing("a")]


async def test_closed_port_is_an_unavailable_bucket_at_once() -> None:
    closed = {"R2_ENDPOINT": f"http://127.0.0.1:{free_port()}"}
    async with open_storage(load(ENVIRON | closed)) as storage, asyncio.timeout(PATIENCE_S):
        with pytest.raises(StorageUnavailable, match="EndpointConnectionError"):
            await storage.head("a")


async def test_missing_bucket_is_not_taken_for_a_missing_object(s3_endpoint: str) -> None:
    elsewhere = ENVIRON | {"R2_ENDPOINT": s3_endpoint, "R2_BUCKET": "no-such-bucket"}
    async with open_storage(load(elsewhere)) as storage:
        await fails_every_call(storage)
