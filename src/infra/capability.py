"""Tokens that let a bearer do one thing to one item until a moment: webhook and playback URLs.

`{purpose}.{media}.{attempt}.{expiry}.{key id}.{mac}`, the MAC being HMAC-SHA256 over what stands
before it, in unpadded Base64 (RFC 4648, section 5). The purpose is signed, so that a playback URL
cannot serve as a webhook's.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import Literal, NamedTuple
from uuid import UUID

from infra.settings import CapabilityKey

Purpose = Literal["webhook", "play"]


class CapabilityRefused(Exception):
    """The token is malformed, forged, for something else, or over. Which, the text says."""


class Capability(NamedTuple):
    """What a token allows; `expires_s` is Unix time."""

    purpose: Purpose
    media_id: UUID
    attempt: int
    expires_s: int


def mint(key: CapabilityKey, capability: Capability) -> str:
    """A token for `capability`, safe in a URL's path."""
    purpose, media_id, attempt, expires_s = capability
    text = f"{purpose}.{media_id.hex}.{attempt}.{expires_s}.{key.key_id}"
    return f"{text}.{_mac(key.secret, text)}"


def verify(keys: Sequence[CapabilityKey], token: str, purpose: Purpose, now_s: float) -> Capability:
    """What `token` allows, if one of `keys` signed it for `purpose` and it is not over."""
    text, _, mac = token.rpartition(".")
    parts = text.split(".")
    known = {key.key_id: key for key in keys}
    if len(parts) != 5 or parts[4] not in known:
        raise CapabilityRefused("the token is malformed or of an unknown key")
    # The MAC comes first: nothing of an unsigned token is interpreted.
    expected = _mac(known[parts[4]].secret, text)
    if not hmac.compare_digest(expected.encode(), mac.encode("utf-8", "surrogatepass")):
        raise CapabilityRefused("the token is forged")
    if parts[0] != purpose:
        raise CapabilityRefused(f"the token is not for {purpose}")
    found = Capability(purpose, UUID(parts[1]), int(parts[2]), int(parts[3]))
    if found.expires_s <= now_s:
        raise CapabilityRefused("the token is over")
    return found


def _mac(secret: bytes, text: str) -> str:
    digest = hmac.new(secret, text.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
