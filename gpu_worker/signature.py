"""Standard Webhooks signatures, signing beside verifying.

Source: the Standard Webhooks specification, sections "Signature scheme" and "Verifying webhook
authenticity": HMAC-SHA256 over `{id}.{timestamp}.{body}`, Base64, prefixed `v1,`; secrets are
Base64 behind `whsec_`. Verification takes several secrets, so that one can be rotated while jobs
signed with the older one still run.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping

TOLERANCE_SECONDS = 5 * 60
_UNIX_SECONDS = re.compile(r"[1-9][0-9]{0,11}", re.ASCII)


class SignatureRefused(Exception):
    """The message is not from our worker, or is too old. The text says which check failed."""


def decode_secret(secret: str) -> bytes:
    """The key bytes of a `whsec_…` secret; ValueError when it is not one of at least 24 bytes."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise ValueError("a webhook secret is Base64 behind whsec_") from error
    if not secret.startswith("whsec_") or len(key) < 24:
        raise ValueError("a webhook secret is whsec_ and the Base64 of at least 24 random bytes")
    return key


def sign(secret: str, message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """The three headers that make `body` a signed webhook."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": f"v1,{_mac(decode_secret(secret), message_id, timestamp_s, body)}",
    }


def verify(secrets: Iterable[str], headers: Mapping[str, str], body: bytes, now_s: float) -> str:
    """The message id, when one of `secrets` signed `body` within five minutes of `now_s`.

    Raises :class:`SignatureRefused` otherwise. Every candidate is compared in constant time.
    """
    message_id = headers.get("webhook-id", "")
    offered = headers.get("webhook-signature", "")
    stamp = headers.get("webhook-timestamp", "")
    if not _UNIX_SECONDS.fullmatch(stamp):
        raise SignatureRefused("webhook-timestamp is missing or not a number")
    timestamp_s = int(stamp)
    if not message_id.isascii() or not message_id or not offered:
        raise SignatureRefused("webhook-id or webhook-signature is missing")
    if abs(now_s - timestamp_s) > TOLERANCE_SECONDS:
        raise SignatureRefused("webhook-timestamp is more than five minutes from now")
    signatures = [part[3:] for part in offered.split(" ") if part.startswith("v1,")]
    for secret in secrets:
        expected = _mac(decode_secret(secret), message_id, timestamp_s, body).encode()
        for signature in signatures:
            if hmac.compare_digest(expected, signature.encode("utf-8", "replace")):
                return message_id
    raise SignatureRefused("no signature fits")


def _mac(key: bytes, message_id: str, timestamp_s: int, body: bytes) -> str:
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
