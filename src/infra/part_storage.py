"""Large uploads in parts, over the bucket's S3 API.

Source: Amazon S3, "Uploading and copying objects using multipart upload"; R2 takes the same calls,
and wants all parts but the last to be of one size.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from domain.part_ports import FoundPart, PartUpload
from infra.bucket_errors import code_of, translated

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

GONE = {"NoSuchUpload", "404"}
CHANGED = {"InvalidPart", "InvalidPartOrder"}


class S3PartStorage:
    """`domain.part_ports.PartStorage`."""

    def __init__(self, client: "S3Client", bucket: str, url_ttl_s: int) -> None:
        self._client = client
        self._bucket = bucket
        self._url_ttl_s = url_ttl_s

    async def begin(self, key: str, content_type: str) -> str:
        """Begin an upload in parts; its id."""
        with translated():
            begun = await self._client.create_multipart_upload(
                Bucket=self._bucket, Key=key, ContentType=content_type
            )
        return begun["UploadId"]

    async def presign(
        self, upload: PartUpload, sizes: Mapping[int, int]
    ) -> tuple[dict[int, str], datetime]:
        """Signed PUTs of parts that take exactly these sizes, and when they expire."""
        expires_at = datetime.now(UTC) + timedelta(seconds=self._url_ttl_s)
        return {number: await self._url(upload, number, sizes[number]) for number in sizes}, (
            expires_at
        )

    async def _url(self, upload: PartUpload, number: int, size: int) -> str:
        with translated():
            return await self._client.generate_presigned_url(
                "upload_part",
                Params={
                    "Bucket": self._bucket,
                    "Key": upload.key,
                    "UploadId": upload.upload_id,
                    "PartNumber": number,
                    "ContentLength": size,
                },
                ExpiresIn=self._url_ttl_s,
            )

    async def found(self, upload: PartUpload) -> dict[int, FoundPart] | None:
        """The parts that arrived; None when the bucket has no such upload (any more)."""
        found: dict[int, FoundPart] = {}
        pages = self._client.get_paginator("list_parts").paginate(
            Bucket=self._bucket, Key=upload.key, UploadId=upload.upload_id
        )
        with translated():
            try:
                async for page in pages:
                    for part in page.get("Parts", []):
                        number = part["PartNumber"]
                        found[number] = FoundPart(part["Size"], part["ETag"])
            except ClientError as error:
                if code_of(error) not in GONE:
                    raise
                return None
        return found

    async def join(self, upload: PartUpload, parts: Mapping[int, FoundPart]) -> bool:
        """Make the object of these parts. False when they, or the upload, are not there any more.

        Whoever joins again, or after a lost answer, gets False: the object says what happened.
        """
        listed: list[CompletedPartTypeDef] = [
            {"PartNumber": number, "ETag": parts[number].etag} for number in sorted(parts)
        ]
        with translated():
            try:
                await self._client.complete_multipart_upload(
                    Bucket=self._bucket,
                    Key=upload.key,
                    UploadId=upload.upload_id,
                    MultipartUpload={"Parts": listed},
                )
            except ClientError as error:
                if code_of(error) not in GONE | CHANGED:
                    raise
                return False
        return True

    async def abort(self, upload: PartUpload) -> None:
        """Give up what arrived; nothing happens where there is nothing."""
        with translated():
            try:
                await self._client.abort_multipart_upload(
                    Bucket=self._bucket, Key=upload.key, UploadId=upload.upload_id
                )
            except ClientError as error:
                if code_of(error) not in GONE:
                    raise
