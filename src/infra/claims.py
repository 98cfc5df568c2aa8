"""Which job works on an attempt, as the worker's claim in the bucket says."""

import logging
from uuid import UUID

from pydantic import ValidationError

from domain.ports import ClaimHolder
from gpu_worker.contract import Claim, claim_key
from infra.object_storage import ObjectTooLarge, S3ObjectStorage

MAX_CLAIM_BYTES = 64 * 1024

log = logging.getLogger(__name__)


class BucketClaims:
    """`domain.ports.Claims` over the bucket."""

    def __init__(self, storage: S3ObjectStorage) -> None:
        self._storage = storage

    async def holder(self, creator_id: str, media_id: UUID, attempt: int) -> ClaimHolder | None:
        """The attempt's claim; None when no job has claimed it, or nobody can tell which."""
        key = claim_key(creator_id, media_id, attempt)
        try:
            found = await self._storage.read_aged(key, MAX_CLAIM_BYTES)
            claim = found and Claim.model_validate_json(found.body)
        except (ObjectTooLarge, ValidationError):
            found = claim = None
            log.warning("malformed claim media=%s attempt=%d", media_id, attempt)
        if found is None or claim is None:
            return None
        if (claim.media_id, claim.attempt) != (media_id, attempt):
            log.warning("misplaced claim media=%s attempt=%d", media_id, attempt)
            return None
        return ClaimHolder(claim.job_id, max(0.0, found.age_s), claim.released)
