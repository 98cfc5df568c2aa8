"""Which upload of the bucket's takes which item's file, in parts."""

from dataclasses import dataclass
from uuid import UUID

import asyncpg

from domain.part_ports import PartUpload
from infra.postgres.pool import Pool
from infra.postgres.queries import sql


@dataclass(frozen=True, slots=True)
class PostgresPartBook:
    """`domain.part_ports.PartBook` over a pool."""

    pool: Pool

    async def find(self, media_id: UUID) -> PartUpload | None:
        """The item's upload in parts; None where there is none."""
        row = await self.pool.fetchrow(sql("part_upload"), media_id)
        return None if row is None else _upload(row)

    async def keep(self, upload: PartUpload, instead_of: str | None) -> PartUpload:
        """Note an upload, in another's place if that is still the one; the one that is noted."""
        row = await self.pool.fetchrow(sql("keep_part_upload"), *upload, instead_of)
        if row is None:
            kept = await self.find(upload.media_id)
            return kept or upload
        return _upload(row)

    async def over(self, limit: int) -> list[PartUpload]:
        """Uploads whose items do not wait for a file any more."""
        return [_upload(row) for row in await self.pool.fetch(sql("part_uploads_over"), limit)]

    async def forget(self, upload: PartUpload) -> None:
        """Nothing is left of the upload."""
        await self.pool.execute(sql("forget_part_upload"), upload.media_id, upload.upload_id)


def _upload(row: asyncpg.Record) -> PartUpload:
    return PartUpload(row["media_id"], row["upload_id"], row["key"], row["part_size"])
