"""Files that arrive in parts: begun, resumed, joined, given up."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from domain.errors import UploadIncomplete
from domain.media import MediaItem
from domain.part_ports import (
    FoundPart,
    PartBook,
    PartStorage,
    PartUpload,
    PresignedPart,
    PresignedParts,
)
from domain.ports import ObjectStorage

MAX_PARTS = 1_000
"""An answer names each: S3's own limit of 10,000 would make it megabytes."""
MIB = 1024 * 1024
TIDY_BATCH = 20


@dataclass(frozen=True, slots=True)
class PartUploads:
    """Uploads in parts, for files beyond `threshold` bytes. Only the bucket knows what arrived."""

    parts: PartStorage
    objects: ObjectStorage
    book: PartBook
    threshold: int
    least_part: int

    async def offer(self, media_id: UUID, item: MediaItem) -> PresignedParts | None:
        """How to send what is missing; None for a file that goes in one piece.

        What was begun in parts goes on so, whatever the settings are by now.
        """
        upload = await self.book.find(media_id)
        if upload is None and item.declared_size <= self.threshold:
            return None
        found = None if upload is None else await self.parts.found(upload)
        if upload is None or found is None:
            if await self.objects.head(item.stored_key) is not None:
                upload = upload or self._planned(media_id, item, "")
                return await self._missing(upload, item, dict.fromkeys(_plan(upload, item)))
            upload, found = await self._begin(media_id, item, upload), {}
        return await self._missing(upload, item, found)

    def _planned(self, media_id: UUID, item: MediaItem, upload_id: str) -> PartUpload:
        size = part_size(item.declared_size, self.least_part)
        return PartUpload(media_id, upload_id, item.stored_key, size)

    async def _begin(
        self, media_id: UUID, item: MediaItem, before: PartUpload | None
    ) -> PartUpload:
        upload_id = await self.parts.begin(item.stored_key, item.content_type)
        begun = self._planned(media_id, item, upload_id)
        kept = await self.book.keep(begun, before.upload_id if before else None)
        if kept.upload_id != upload_id:  # Asked for twice at once: the other one is the item's.
            await self.parts.abort(begun)
        return kept

    async def _missing(
        self, upload: PartUpload, item: MediaItem, found: Mapping[int, FoundPart | None]
    ) -> PresignedParts:
        plan = _plan(upload, item)
        missing = {number: plan[number] for number in plan if not _fits(found, number, plan)}
        urls, expires_at = await self.parts.presign(upload, missing)
        return PresignedParts(
            part_size=upload.part_size,
            parts=tuple(PresignedPart(n, size, urls[n]) for n, size in missing.items()),
            done=tuple(number for number in plan if number not in missing),
            expires_at=expires_at,
        )

    async def join(self, media_id: UUID, item: MediaItem) -> None:
        """Make the object of its parts, unless it is there, or the file comes in one piece.

        `UploadIncomplete` while parts are missing. Done twice, at once or after a crash, it makes
        the same object: the second finds no upload any more.
        """
        upload = await self.book.find(media_id)
        found = None if upload is None else await self.parts.found(upload)
        if upload is None or found is None:
            return
        plan = _plan(upload, item)
        missing = [number for number in plan if not _fits(found, number, plan)]
        if missing and await self.objects.head(item.stored_key) is None:
            raise UploadIncomplete(len(missing), len(plan))
        if not missing:
            await self.parts.join(upload, {number: found[number] for number in plan})

    async def tidy(self) -> bool:
        """Give up what nobody will join any more; whether there may be more of it."""
        over = await self.book.over(TIDY_BATCH)
        for upload in over:
            await self.parts.abort(upload)
            await self.book.forget(upload)
        return len(over) == TIDY_BATCH


def part_size(size: int, least: int) -> int:
    """Bytes of each part but the last: whole MiB, at least `least`, at most `MAX_PARTS` parts."""
    needed = -(-size // MAX_PARTS)
    return max(least, -(-needed // MIB) * MIB)


def _plan(upload: PartUpload, item: MediaItem) -> dict[int, int]:
    """The size of each part by its number, counted from 1."""
    whole, rest = divmod(item.declared_size, upload.part_size)
    sizes = [upload.part_size] * whole + ([rest] if rest else [])
    return dict(enumerate(sizes, start=1))


def _fits(found: Mapping[int, FoundPart | None], number: int, plan: Mapping[int, int]) -> bool:
    if number not in found:
        return False
    part = found[number]
    return part is None or part.size == plan[number]
