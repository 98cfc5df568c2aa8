"""Putting objects into a test's bucket."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

import aioboto3
from aiobotocore.config import AioConfig

from infra.embedded.object_store import BucketKeys, ObjectStore
from infra.object_storage import CONFIG, S3ObjectStorage

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client


@asynccontextmanager
async def client_of(
    store: ObjectStore, keys: BucketKeys, tries: int = 1
) -> AsyncIterator["S3Client"]:
    """A client of an embedded store, with any of its keys."""
    async with aioboto3.Session().client(
        "s3",
        endpoint_url=store.endpoint,
        region_name=store.region,
        aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=keys.secret_access_key,
        config=CONFIG.merge(AioConfig(retries={"total_max_attempts": tries})),
    ) as client:
        yield client


class OpenBucket(NamedTuple):
    """A test's bucket as the service sees it, and how the test puts objects there."""

    storage: S3ObjectStorage
    client: "S3Client"
    name: str

    async def put(
        self, objects: Mapping[str, bytes], content_type: str = "application/octet-stream"
    ) -> None:
        """Put every object of `objects`, in order."""
        for key, body in objects.items():
            await self.client.put_object(
                Bucket=self.name, Key=key, Body=body, ContentType=content_type
            )
