"""The claims of one media item as objects in the bucket: conditional writes, and reads with an age.

R2, S3, SeaweedFS 4.48 and moto honour `If-None-Match: *` and `If-Match` on PUT, and let one of
several simultaneous writers win. A store that ignores them will not do: `python -m gpu_worker
doctor` finds out.
"""

import logging
from collections.abc import AsyncIterator, Callable
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Literal, NamedTuple, TypedDict
from uuid import UUID

from botocore.exceptions import ClientError
from pydantic import ValidationError

from gpu_worker.bucket import code_of
from gpu_worker.contract import Claim, claim_key, claims_prefix

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

MAX_CLAIM_BYTES = 64 * 1024
# 404 is what some stores answer to If-Match where nothing is; 409 is S3's word for "at once".
REFUSALS = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "412"})

logger = logging.getLogger(__name__)


class If(TypedDict, total=False):
    """On what condition a claim is stored."""

    IfNoneMatch: Literal["*"]
    IfMatch: str


UNCLAIMED: If = {"IfNoneMatch": "*"}


class Aged(NamedTuple):
    """A small object as it lies in the bucket; its age is on the bucket's clock."""

    text: bytes
    etag: str
    age_s: float


async def put_if(client: "S3Client", bucket: str, key: str, text: str, condition: If) -> str | None:
    """Store JSON; the new object's ETag, or None when the condition does not hold."""
    try:
        stored = await client.put_object(
            Bucket=bucket,
            Key=key,
            Body=text.encode(),
            ContentType="application/json",
            CacheControl="no-store",
            **condition,
        )
    except ClientError as error:
        if code_of(error) in REFUSALS:
            return None
        raise
    return stored["ETag"]


async def read_aged(
    client: "S3Client", bucket: str, key: str, most_bytes: int = MAX_CLAIM_BYTES
) -> Aged | None:
    """What is at `key`, empty when it is too large; None when there is nothing."""
    try:
        found = await client.get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if code_of(error) == "NoSuchKey":
            return None
        raise
    async with found["Body"] as body:
        text = await body.read() if found["ContentLength"] <= most_bytes else b""
    told = found["ResponseMetadata"]["HTTPHeaders"].get("date")
    if told is None:
        raise TimeoutError("the bucket does not tell the time")
    age = parsedate_to_datetime(told) - found["LastModified"]
    return Aged(text, found["ETag"], age.total_seconds())


class FoundClaim(NamedTuple):
    """A claim as it lies in the bucket; `claim` is None when nobody can read it.

    `age_s` is on the bucket's clock. Headers tell whole seconds: it may be less by up to one.
    """

    claim: Claim | None
    etag: str
    age_s: float


class ClaimObjects:
    """Writes and reads claims. Raises what the S3 client raises, and TimeoutError."""

    def __init__(self, client: "S3Client", bucket: str, creator_id: str, media_id: UUID) -> None:
        self._client = client
        self._bucket = bucket
        self._creator_id = creator_id
        self._media_id = media_id

    async def put(self, claim: Claim, condition: If) -> str | None:
        """The new object's ETag; None when the condition does not hold."""
        key = self._key(claim.attempt)
        return await put_if(self._client, self._bucket, key, claim.to_json(), condition)

    async def read(self, attempt: int) -> FoundClaim | None:
        """The claim of `attempt`; None when there is none."""
        found = await read_aged(self._client, self._bucket, self._key(attempt))
        if found is None:
            return None
        return FoundClaim(self._parse(attempt, found.text), found.etag, found.age_s)

    async def remove(self, attempt: int) -> None:
        """Delete a claim, whoever holds it."""
        await self._client.delete_object(Bucket=self._bucket, Key=self._key(attempt))

    async def of(self, wanted: Callable[[int], bool]) -> AsyncIterator[FoundClaim]:
        """The claims of the `wanted` attempts."""
        prefix = claims_prefix(self._creator_id, self._media_id)
        listed = await self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix)
        for item in listed.get("Contents", []):
            number = item["Key"].removeprefix(prefix)
            if not number.isdecimal() or not wanted(int(number)):
                continue
            if found := await self.read(int(number)):
                yield found

    def _key(self, attempt: int) -> str:
        return claim_key(self._creator_id, self._media_id, attempt)

    def _parse(self, attempt: int, text: bytes) -> Claim | None:
        """The claim; None, and a word in the log, when `text` is no claim of this attempt."""
        try:
            claim = Claim.model_validate_json(text)
        except ValidationError:
            claim = None
        if claim is None or (claim.media_id, claim.attempt) != (self._media_id, attempt):
            logger.warning("%s is no claim: held by nobody", self._key(attempt))
            return None
        return claim
