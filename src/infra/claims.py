"""Stop-gap until the worker's claims land."""

from uuid import UUID

from domain.ports import ClaimHolder
from infra.object_storage import S3ObjectStorage


class BucketClaims:
    """`domain.ports.Claims` over the bucket."""

    def __init__(self, storage: S3ObjectStorage) -> None:
        self._storage = storage

    async def holder(self, creator_id: str, media_id: UUID, attempt: int) -> ClaimHolder | None:
        """The attempt's claim; None when no job has claimed it."""
        return None
