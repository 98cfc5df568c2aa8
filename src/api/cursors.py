"""Where a page ends, as a text that its reader gives back: bound to the creator, and unalterable.

Unpadded Base64 (RFC 4648, section 5) of the last item's time, in microseconds, its id, and the
first bytes of an HMAC-SHA256 over both and the creator.
"""

import base64
import binascii
import hashlib
import hmac
import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from infra.postgres.reads import Cursor
from infra.settings import CapabilityKey

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
MAC_BYTES = 9
"""Thirty-three bytes in all: Base64 of them has neither padding nor bits that nobody reads."""
_PLACE = struct.Struct(">q16s")


class CursorRefused(Exception):
    """Not a cursor that this creator was given, by a key that is still in use."""


def written(key: CapabilityKey, creator: str, last: Cursor) -> str:
    """The cursor of a page whose last item is `last`."""
    place = _PLACE.pack((last.created_at - EPOCH) // MICROSECOND, last.id.bytes)
    return base64.urlsafe_b64encode(place + _mac(key, creator, place)).decode()


def read(keys: Sequence[CapabilityKey], creator: str, text: str) -> Cursor:
    """What `written` wrote, for the same creator, by one of `keys`; `CursorRefused` otherwise."""
    try:
        found = base64.b64decode(text, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise CursorRefused from None
    place, mac = found[: _PLACE.size], found[_PLACE.size :]
    signed = [hmac.compare_digest(_mac(key, creator, place), mac) for key in keys]
    if len(place) != _PLACE.size or not any(signed):
        raise CursorRefused
    microseconds, media_id = _PLACE.unpack(place)
    return Cursor(EPOCH + microseconds * MICROSECOND, UUID(bytes=media_id))


def _mac(key: CapabilityKey, creator: str, place: bytes) -> bytes:
    text = b"page." + creator.encode() + b"." + place
    return hmac.new(key.secret, text, hashlib.sha256).digest()[:MAC_BYTES]
