"""The bucket over its S3 API (Cloudflare R2, SeaweedFS, S3)."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import aioboto3
from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError

from domain.errors import StorageUnavailable
from domain.ports import FoundObject, PresignedUpload
from infra.bucket_errors import code_of, translated
from infra.fault_points import reach
from infra.item_objects import BucketItemObjects
from infra.part_storage import S3PartStorage
from infra.settings import Settings

if TYPE_CHECKING:
    from botocore.model import OperationModel
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import GetObjectOutputTypeDef

CONFIG = AioConfig(
    signature_version="s3v4",
    # R2 refuses the checksums botocore adds by default.
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
    connect_timeout=5,
    read_timeout=15,
    retries={"max_attempts": 3, "mode": "standard"},
    max_pool_connections=20,
)
PROBE_KEY = "probes/write"
CHUNK_BYTES = 1024 * 1024
_MISSING = {"404", "NoSuchKey", "NotFound"}


class ObjectTooLarge(Exception):
    """An object has more bytes than the reader is ready to take."""


class ListedObject(NamedTuple):
    """An object in a listing; `size` in bytes, `etag` without quotes."""

    key: str
    size: int
    etag: str


class AgedObject(NamedTuple):
    """An object's bytes, and how many seconds ago it was stored, on the bucket's clock."""

    body: bytes
    age_s: float


class S3ObjectStorage:
    """`domain.ports.ObjectStorage`, and the reads the service itself needs."""

    def __init__(self, client: "S3Client", bucket: str, upload_url_ttl_s: int) -> None:
        self._client = client
        self._bucket = bucket
        self._upload_url_ttl_s = upload_url_ttl_s

    async def presign_put(self, key: str, content_type: str, size: int) -> PresignedUpload:
        """A signed PUT that only accepts this size and type, and never overwrites.

        A second PUT is answered 412, so a URL that leaked cannot replace what was checked.
        """
        expires_at = datetime.now(UTC) + timedelta(seconds=self._upload_url_ttl_s)
        with translated():
            url = await self._client.generate_presigned_url(
                "put_object",
                Params={
                    "Bucket": self._bucket,
                    "Key": key,
                    "ContentType": content_type,
                    "ContentLength": size,
                    "IfNoneMatch": "*",
                },
                ExpiresIn=self._upload_url_ttl_s,
            )
        headers = {
            "content-type": content_type,
            "content-length": str(size),
            "if-none-match": "*",
        }
        return PresignedUpload(url, headers, expires_at)

    def parts(self) -> S3PartStorage:
        """The same bucket, for uploads in parts."""
        return S3PartStorage(self._client, self._bucket, self._upload_url_ttl_s)

    def of_items(self) -> BucketItemObjects:
        """The same bucket, for the removal of all that is an item's."""
        return BucketItemObjects(self._client, self._bucket)

    async def presign_get(self, key: str, ttl_s: int) -> str:
        """A signed GET of `key`, good for `ttl_s` seconds."""
        with translated():
            return await self._client.generate_presigned_url(
                "get_object", Params={"Bucket": self._bucket, "Key": key}, ExpiresIn=ttl_s
            )

    async def head(self, key: str) -> FoundObject | None:
        """What is at `key`, or None."""
        with translated():
            try:
                found = await self._client.head_object(Bucket=self._bucket, Key=key)
            except ClientError as error:
                if code_of(error) not in _MISSING:
                    raise
                # An answer to HEAD has no body to tell a missing object from a missing bucket.
                await self._client.head_bucket(Bucket=self._bucket)
                return None
        return FoundObject(
            found["ContentLength"], found["ETag"].strip('"'), found.get("ContentType", "")
        )

    async def read(self, key: str, max_bytes: int) -> bytes | None:
        """The object's bytes, or None. `ObjectTooLarge` beyond `max_bytes`."""
        found = await self.read_aged(key, max_bytes)
        return found and found.body

    async def read_aged(self, key: str, max_bytes: int) -> AgedObject | None:
        """The object's bytes and age, or None. `ObjectTooLarge` beyond `max_bytes`."""
        with translated():
            if (found := await self._get(key)) is None:
                return None
            async with found["Body"] as body:
                if found["ContentLength"] > max_bytes:
                    raise ObjectTooLarge(f"{key} has more than {max_bytes} bytes")
                return AgedObject(await body.read(), _age_s(found))

    async def sha256(self, key: str) -> str | None:
        """The SHA-256 of the object's bytes in hex, read in chunks; or None."""
        with translated():
            if (found := await self._get(key)) is None:
                return None
            digest, body = hashlib.sha256(), found["Body"]
            async with body:
                async for chunk in body.iter_chunks(CHUNK_BYTES):
                    digest.update(chunk)
        return digest.hexdigest()

    async def _get(self, key: str) -> "GetObjectOutputTypeDef | None":
        try:
            return await self._client.get_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if code_of(error) in _MISSING:
                return None
            raise

    async def listing(self, prefix: str) -> AsyncIterator[ListedObject]:
        """Every object under `prefix`."""
        with translated():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=prefix
            )
            async for page in pages:
                for found in page.get("Contents", []):
                    yield ListedObject(found["Key"], found["Size"], found["ETag"].strip('"'))

    async def probe(self) -> None:
        """Write a small object, as workers must be able to. `StorageUnavailable` if that fails."""
        with translated():
            await self._client.put_object(Bucket=self._bucket, Key=PROBE_KEY, Body=b"probe")

    async def ping(self) -> None:
        """`StorageUnavailable` unless the bucket is there and lets us in."""
        with translated():
            await self._client.head_bucket(Bucket=self._bucket)


def _age_s(found: "GetObjectOutputTypeDef") -> float:
    told = found["ResponseMetadata"]["HTTPHeaders"].get("date")
    if told is None:
        raise StorageUnavailable("the bucket does not tell the time")
    return (parsedate_to_datetime(told) - found["LastModified"]).total_seconds()


@lru_cache(maxsize=4)
def _session(key_id: str, secret: str, region: str) -> aioboto3.Session:
    """Kept, for a new one reads botocore's whole description of S3 anew."""
    return aioboto3.Session(
        aws_access_key_id=key_id, aws_secret_access_key=secret, region_name=region
    )


@asynccontextmanager
async def open_client(settings: Settings) -> AsyncIterator["S3Client"]:
    """One shared client with the keys of `settings`."""
    secret = settings.r2_secret_access_key.get_secret_value()
    session = _session(settings.r2_access_key_id, secret, settings.r2_region)
    async with session.client("s3", endpoint_url=settings.r2_endpoint, config=CONFIG) as client:
        yield client


@asynccontextmanager
async def open_storage(settings: Settings) -> AsyncIterator[S3ObjectStorage]:
    """The bucket of `settings`."""
    async with open_client(settings) as client:
        client.meta.events.register("before-call.s3", _about_to_ask)
        client.meta.events.register("after-call.s3", _answered)
        yield S3ObjectStorage(client, settings.r2_bucket, settings.upload_url_ttl_s)


def _about_to_ask(model: "OperationModel", **_: object) -> None:
    reach("bucket", f"{model.name}.before")


def _answered(model: "OperationModel", **_: object) -> None:
    reach("bucket", f"{model.name}.after")
