"""How much one creator may upload."""

from typing import NamedTuple, Protocol
from uuid import UUID


class QuotaLimits(NamedTuple):
    """The most of each; None: without limit."""

    uploading: int | None = None
    """Items whose files have not arrived."""
    items_day: int | None = None
    """Items registered within 24 hours."""
    bytes_day: int | None = None
    """Bytes declared within 24 hours."""
    items: int | None = None
    """Items in all."""
    bytes: int | None = None
    """Bytes declared in all."""


class Quotas(Protocol):
    """Keeps creators within their limits, however many of their requests come at once."""

    async def reserve(self, media_id: UUID, creator_id: str, size: int) -> None:
        """Count a registration of `size` bytes that is about to be made.

        Raises `QuotaExceeded`. An item that is registered already is not counted again.
        """
