"""Putting objects into a test's bucket."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

import aioboto3

from infra.object_storage import CONFIG, S3ObjectStorage
from infra.settings import Settings

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client


@asynccontextmanager
async def open_client(settings: Settings) -> AsyncIterator["S3Client"]:
    """A client of the store of `settings`."""
    session = aioboto3.Session(
        aws_access_key_id=settings.r2_access_key_id,
        aws_secret_access_key=settings.r2_secret_access_key.get_secret_value(),
        region_name=settings.r2_region,
    )
    async with session.client("s3", endpoint_url=settings.r2_endpoint, config=CONFIG) as client:
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
