"""Making a bucket ready for its first upload: there, and open to the service's own pages."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from infra.bucket_errors import code_of, translated
from infra.object_storage import open_client
from infra.settings import Settings

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import CORSRuleTypeDef

MISSING = {"404", "NoSuchBucket", "NotFound"}
NOT_TO_BE_NAMED = {"auto", "us-east-1"}
"""Regions that a request for a new bucket must not name."""


def page_rule(origins: Sequence[str]) -> "CORSRuleTypeDef":
    """What lets browsers show these origins' pages upload to the bucket and play from it."""
    return {
        "AllowedOrigins": origins,
        "AllowedMethods": ["GET", "HEAD", "PUT"],
        "AllowedHeaders": ["content-type", "if-none-match", "range"],
        "ExposeHeaders": ["content-length", "content-range", "etag"],
        "MaxAgeSeconds": 3600,
    }


async def prepare_bucket(settings: Settings, origins: Sequence[str]) -> bool:
    """Make the bucket where it is not there, and set its CORS rule; whether it was made.

    `StorageUnavailable` says what the store answered where the key may not.
    """
    async with open_client(settings) as client:
        with translated():
            made = await _ensure(client, settings)
            await client.put_bucket_cors(
                Bucket=settings.r2_bucket, CORSConfiguration={"CORSRules": [page_rule(origins)]}
            )
    return made


async def _ensure(client: "S3Client", settings: Settings) -> bool:
    try:
        await client.head_bucket(Bucket=settings.r2_bucket)
    except ClientError as error:
        if code_of(error) not in MISSING:
            raise
    else:
        return False
    if settings.r2_region in NOT_TO_BE_NAMED:
        await client.create_bucket(Bucket=settings.r2_bucket)
    else:
        await client.create_bucket(
            Bucket=settings.r2_bucket,
            CreateBucketConfiguration={"LocationConstraint": settings.r2_region},  # type: ignore[typeddict-item]
        )
    return True
