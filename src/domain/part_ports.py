"""What uploads in parts need from outside; see :mod:`domain.ports`."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID


class PresignedPart(NamedTuple):
    """A PUT of one part, of exactly `size` bytes. Parts are counted from 1."""

    number: int
    size: int
    url: str


class PresignedParts(NamedTuple):
    """What is missing of a file that is sent in parts, and the numbers of what arrived."""

    part_size: int
    parts: tuple[PresignedPart, ...]
    done: tuple[int, ...]
    expires_at: datetime


class PartUpload(NamedTuple):
    """An upload in parts as the bucket and we know it; `part_size` in bytes, the last excepted."""

    media_id: UUID
    upload_id: str
    key: str
    part_size: int


class FoundPart(NamedTuple):
    """A part that arrived."""

    size: int
    etag: str


class PartStorage(Protocol):
    """Uploads in parts, in the bucket. Raises `StorageUnavailable` when it does not answer."""

    async def begin(self, key: str, content_type: str) -> str:
        """Begin an upload; its id."""
        ...

    async def presign(
        self, upload: PartUpload, sizes: Mapping[int, int]
    ) -> tuple[dict[int, str], datetime]:
        """Signed PUTs of parts that take exactly these sizes, and when they expire."""
        ...

    async def found(self, upload: PartUpload) -> dict[int, FoundPart] | None:
        """The parts that arrived; None when the bucket has no such upload (any more)."""
        ...

    async def join(self, upload: PartUpload, parts: Mapping[int, FoundPart]) -> bool:
        """Make the object; False when the parts or the upload are not there any more."""
        ...

    async def abort(self, upload: PartUpload) -> None:
        """Give up what arrived; nothing happens where there is nothing."""
        ...


class PartBook(Protocol):
    """Which upload in parts takes which item's file."""

    async def find(self, media_id: UUID) -> PartUpload | None:
        """The item's; None where there is none."""
        ...

    async def keep(self, upload: PartUpload, instead_of: str | None) -> PartUpload:
        """Note an upload, in another's place if that is still the one; the one that is noted."""
        ...

    async def over(self, limit: int) -> list[PartUpload]:
        """Uploads whose items do not wait for a file any more."""
        ...

    async def forget(self, upload: PartUpload) -> None:
        """Nothing is left of the upload."""
        ...
