"""Claims of one new item after the other, on whichever store a test is given."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID, uuid4, uuid5

from gpu_worker.claim import AttemptClaim, Times
from gpu_worker.contract import Claim, JobInput, claim_key
from gpu_worker.manifest import Identity

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

CALM = Times(renewal_s=0.3, retry_s=0.1)
"""Renews often, and has a whole minute for it: a slow machine loses no claim."""
BRISK = CALM._replace(lease_s=3)
"""Gives up, and takes over, soon."""
CREATOR = "creator-1"


def identity_of(media_id: UUID, job_id: str, attempt: int = 1) -> Identity:
    """Who asks for the attempt."""
    wanted = JobInput(
        media_id=media_id,
        attempt=attempt,
        attempt_id=uuid5(media_id, f"attempt/{attempt}"),
        type="audio",
        creator_id=CREATOR,
        input_key=f"{CREATOR}/originals/{media_id}/a.wav",
        input_etag="etag",
        webhook_url="http://127.0.0.1/",
    )
    return Identity(job_id, wanted, "pod-7")


@dataclass
class Item:
    """A new item's claims: runs that want them, and what lies in the bucket."""

    client: "S3Client"
    bucket: str
    media_id: UUID = field(default_factory=uuid4)

    def run(self, job_id: str, attempt: int = 1, times: Times = CALM) -> AttemptClaim:
        """A run that has not claimed anything yet."""
        identity = identity_of(self.media_id, job_id, attempt)
        return AttemptClaim(self.client, self.bucket, identity, times)

    async def stored(self, attempt: int = 1) -> Claim:
        found = await self.client.get_object(Bucket=self.bucket, Key=self._key(attempt))
        async with found["Body"] as body:
            return Claim.model_validate_json(await body.read())

    async def claimed(self) -> bool:
        """Whether there is anything in the claim's place."""
        listed = await self.client.list_objects_v2(Bucket=self.bucket, Prefix=self._key(1))
        return bool(listed["KeyCount"])

    async def overwrite(self, body: str | Claim, attempt: int = 1) -> None:
        """Store `body` as the claim, whatever is there."""
        text = body.to_json() if isinstance(body, Claim) else body
        await self.client.put_object(Bucket=self.bucket, Key=self._key(attempt), Body=text.encode())

    async def remove(self) -> None:
        await self.client.delete_object(Bucket=self.bucket, Key=self._key(1))

    def _key(self, attempt: int) -> str:
        return claim_key(CREATOR, self.media_id, attempt)
