"""The worker's key and the service's reach what their holders need, and nothing else."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from botocore.exceptions import ClientError

from infra.embedded.object_store import ObjectStore
from tests.bucket_rights import BUCKET, OUTPUTS
from tests.conftest import SEAWEED_KEYS, SERVICE_KEYS, WORKER_KEYS
from tests.infra.bucket import client_of

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

pytestmark = pytest.mark.asyncio(loop_scope="module")

ORIGINAL = "alice/originals/0190/clip.mp4"
OUTPUT_KEYS = [f"alice/{folder}/0190/a" for folder in OUTPUTS]
Try = Callable[["S3Client"], Awaitable[object]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def original(seaweed: ObjectStore) -> ObjectStore:
    """The store, with somebody's original in it."""
    async with client_of(seaweed, SEAWEED_KEYS) as client:
        await client.put_object(Bucket=BUCKET, Key=ORIGINAL, Body=b"film")
    return seaweed


async def may(client: "S3Client", attempt: Try) -> bool:
    """Whether the store lets it happen; a failure of the test where it fails for another reason."""
    try:
        await attempt(client)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 403:
            raise
        return False
    return True


async def test_the_worker_reads_originals_and_writes_outputs(original: ObjectStore) -> None:
    async with client_of(original, WORKER_KEYS) as client:
        assert await may(client, lambda c: c.get_object(Bucket=BUCKET, Key=ORIGINAL))
        assert await may(client, lambda c: c.head_object(Bucket=BUCKET, Key=ORIGINAL))
        for key in OUTPUT_KEYS:
            folder = key.rsplit("/", 1)[0] + "/"
            await client.put_object(Bucket=BUCKET, Key=key, Body=b"x", IfNoneMatch="*")
            await client.get_object(Bucket=BUCKET, Key=key)
            listed = await client.list_objects_v2(Bucket=BUCKET, Prefix=folder)
            assert [found["Key"] for found in listed["Contents"]] == [key]
            await client.delete_object(Bucket=BUCKET, Key=key)


FORBIDDEN: dict[str, Try] = {
    "overwrite an original": lambda c: c.put_object(Bucket=BUCKET, Key=ORIGINAL, Body=b"other"),
    "delete an original": lambda c: c.delete_object(Bucket=BUCKET, Key=ORIGINAL),
    "list originals": lambda c: c.list_objects_v2(Bucket=BUCKET, Prefix="alice/originals/"),
    "list everything": lambda c: c.list_objects_v2(Bucket=BUCKET),
    "write elsewhere": lambda c: c.put_object(Bucket=BUCKET, Key="probes/write", Body=b""),
    "write above": lambda c: c.put_object(Bucket=BUCKET, Key="hls/a", Body=b""),
    "read elsewhere": lambda c: c.get_object(Bucket=BUCKET, Key="probes/write"),
    "copy over an original": lambda c: c.copy_object(
        Bucket=BUCKET, Key=ORIGINAL, CopySource={"Bucket": BUCKET, "Key": ORIGINAL}
    ),
    "begin an original in parts": lambda c: c.create_multipart_upload(Bucket=BUCKET, Key=ORIGINAL),
    "make a bucket": lambda c: c.create_bucket(Bucket="another"),
    "remove the bucket": lambda c: c.delete_bucket(Bucket=BUCKET),
    "change CORS": lambda c: c.put_bucket_cors(
        Bucket=BUCKET,
        CORSConfiguration={"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]},
    ),
    "open the bucket": lambda c: c.put_bucket_policy(
        Bucket=BUCKET,
        Policy='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*",'
        f'"Action":"s3:GetObject","Resource":"arn:aws:s3:::{BUCKET}/*"}}]}}',
    ),
}
OF_BUCKETS = ["make a bucket", "remove the bucket", "change CORS", "open the bucket"]


async def test_the_worker_does_nothing_else(original: ObjectStore) -> None:
    async with client_of(original, WORKER_KEYS) as client:
        let_through = [name for name, attempt in FORBIDDEN.items() if await may(client, attempt)]
    assert let_through == []
    async with client_of(original, SEAWEED_KEYS) as client:
        body = (await client.get_object(Bucket=BUCKET, Key=ORIGINAL))["Body"]
        assert await body.read() == b"film"


async def test_the_service_keeps_objects_and_no_buckets(original: ObjectStore) -> None:
    key = "alice/originals/0191/clip.mp4"
    async with client_of(original, SERVICE_KEYS) as client:
        await client.head_bucket(Bucket=BUCKET)
        begun = await client.create_multipart_upload(Bucket=BUCKET, Key=key)
        await client.abort_multipart_upload(Bucket=BUCKET, Key=key, UploadId=begun["UploadId"])
        await client.put_object(Bucket=BUCKET, Key="probes/write", Body=b"probe")
        await client.put_object(Bucket=BUCKET, Key=key, Body=b"film")
        assert (await client.list_objects_v2(Bucket=BUCKET, Prefix="alice/"))["KeyCount"] >= 1
        await client.delete_object(Bucket=BUCKET, Key=key)
        let_through = [name for name in OF_BUCKETS if await may(client, FORBIDDEN[name])]
    assert let_through == []
