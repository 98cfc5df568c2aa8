"""Everything that lies in the bucket of one item, whoever wrote it, and its removal."""

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

from botocore.exceptions import ClientError

from domain.keys import originals_prefix
from gpu_worker.contract import OutputLayout, chunks_prefix, claims_prefix
from infra.bucket_errors import code_of, translated

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

MOST = 5_000
"""Objects removed in one go, well within a lease. What is left is due again at once."""
AT_ONCE = 16
GONE = {"NoSuchUpload", "404"}


def prefixes(creator_id: str, media_id: UUID) -> tuple[str, ...]:
    """Where objects of an item can lie. Each ends with its id and a slash: none is another's."""
    layout = OutputLayout(creator_id, media_id)
    return (
        originals_prefix(creator_id, media_id),
        layout.prefix,
        f"{layout.thumbnail.rpartition('/')[0]}/",
        f"{layout.waveform.rpartition('/')[0]}/",
        claims_prefix(creator_id, media_id),
        chunks_prefix(creator_id, media_id),
    )


class BucketItemObjects:
    """`domain.use_cases.erasure.ItemObjects` over the bucket's S3 API.

    Objects are deleted one by one: deleting many in one call needs a checksum that R2 and others
    do not take in every form.
    """

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    async def clear(self, creator_id: str, media_id: UUID) -> int:
        """Remove up to about `MOST` objects and all uploads in parts; how many that were."""
        removed = 0
        with translated():
            for prefix in prefixes(creator_id, media_id):
                removed += await self._abort_uploads(prefix)
                removed += await self._delete(prefix, MOST - removed)
        return removed

    async def _abort_uploads(self, prefix: str) -> int:
        pages = self._client.get_paginator("list_multipart_uploads").paginate(
            Bucket=self._bucket, Prefix=prefix
        )
        found = [each async for page in pages for each in page.get("Uploads", [])]
        for each in found:
            await self._abort(each["Key"], each["UploadId"])
        return len(found)

    async def _abort(self, key: str, upload_id: str) -> None:
        try:
            await self._client.abort_multipart_upload(
                Bucket=self._bucket, Key=key, UploadId=upload_id
            )
        except ClientError as error:
            if code_of(error) not in GONE:  # somebody else gave it up meanwhile
                raise

    async def _delete(self, prefix: str, most: int) -> int:
        removed = 0
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=prefix
        )
        async for page in pages:
            keys = [found["Key"] for found in page.get("Contents", [])]
            for begin in range(0, len(keys), AT_ONCE):
                if removed >= most:
                    return removed
                some = keys[begin : begin + AT_ONCE]
                await asyncio.gather(*map(self._delete_one, some))
                removed += len(some)
        return removed

    async def _delete_one(self, key: str) -> None:
        await self._client.delete_object(Bucket=self._bucket, Key=key)
