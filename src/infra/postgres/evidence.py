"""What events rest on, in a table that only grows, but for items that are erased."""

import hashlib
from uuid import UUID

from domain.ports import EvidenceKind
from infra.postgres.pool import Pool
from infra.postgres.queries import sql


class PostgresEvidence:
    """`domain.ports.EvidenceLocker` over a pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def keep(self, media_id: UUID, kind: EvidenceKind, body: bytes) -> str:
        """Keep `body`, once however often it comes; its SHA-256 in hex."""
        digest = hashlib.sha256(body)
        await self._pool.execute(sql("keep_evidence"), digest.digest(), kind.value, body, media_id)
        return digest.hexdigest()
