"""Fixtures of the adapters' tests."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from infra.bootstrap import Services, open_services
from infra.object_storage import S3ObjectStorage, open_client
from infra.settings import load
from tests.infra.bucket import OpenBucket
from tests.infra.variables import ENVIRON

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

OpenWith = Callable[..., AbstractAsyncContextManager[Services]]


@pytest.fixture
def open_with(environ: dict[str, str]) -> OpenWith:
    """Opens the service with some variables changed: `async with open_with(R2_BUCKET="x")`."""

    @asynccontextmanager
    async def opened(**changed: str) -> AsyncIterator[Services]:
        async with open_services(load(environ | changed)) as services:
            yield services

    return opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def s3_client(s3_endpoint: str) -> AsyncIterator["S3Client"]:
    """One client for the tests of a module that run in its loop: making one takes long."""
    async with open_client(load(ENVIRON | {"R2_ENDPOINT": s3_endpoint})) as client:
        yield client


@pytest.fixture
def open_bucket(s3_client: "S3Client", bucket: str) -> OpenBucket:
    """This test's bucket, for a test that runs in its module's loop."""
    return OpenBucket(S3ObjectStorage(s3_client, bucket, 60), s3_client, bucket)
