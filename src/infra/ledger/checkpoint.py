"""Signed checkpoints: a C2SP signed note (c2sp.org/signed-note, c2sp.org/tlog-checkpoint).

codex-media                        the origin
20852163                           the tree's size
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2   its root hash, Base64

— codex-media Az3grlgtzPICa5…      key id (4 bytes) and Ed25519 signature, Base64
"""

import base64
import binascii
import hashlib
from typing import NamedTuple, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ALGORITHM = b"\x01"
"""Ed25519, in the signed note's list of signature types."""


class CheckpointInvalid(Exception):
    """The text is no checkpoint, or its signature does not verify."""


class Checkpoint(NamedTuple):
    """What a checkpoint states."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The signed text."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


class PublicKey(NamedTuple):
    """A verifier key: `name+hash+base64(algorithm and key)`."""

    name: str
    raw: bytes

    @property
    def key_id(self) -> bytes:
        """The first four bytes of SHA-256 over name, newline, algorithm and key."""
        return hashlib.sha256(self.name.encode() + b"\n" + ALGORITHM + self.raw).digest()[:4]

    def __str__(self) -> str:
        encoded = base64.b64encode(ALGORITHM + self.raw).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The key in `text`; CheckpointInvalid when it is none."""
        try:
            name, key_id, encoded = text.strip().split("+", 2)
            algorithm_and_raw = base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error):
            raise CheckpointInvalid("a public key is name+id+base64") from None
        key = cls(name, algorithm_and_raw[1:])
        if algorithm_and_raw[:1] != ALGORITHM or len(key.raw) != 32 or key.key_id.hex() != key_id:
            raise CheckpointInvalid("the public key is damaged or not an Ed25519 key")
        return key


class SigningKey:
    """A private key that signs checkpoints of `name`."""

    def __init__(self, name: str, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        raw = self._private.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw
        )
        self.public = PublicKey(name, raw)

    def sign(self, size: int, root: bytes) -> str:
        """The signed checkpoint of a tree."""
        text = Checkpoint(self.public.name, size, root).text()
        signature = self.public.key_id + self._private.sign(text.encode())
        return f"{text}\n— {self.public.name} {base64.b64encode(signature).decode()}\n"


def read(note: str) -> Checkpoint:
    """What `note` states, unverified."""
    lines = note.split("\n")
    try:
        return Checkpoint(lines[0], int(lines[1]), base64.b64decode(lines[2], validate=True))
    except (IndexError, ValueError, binascii.Error):
        raise CheckpointInvalid("the text is not a checkpoint") from None


def verify(note: str, key: PublicKey) -> Checkpoint:
    """What `note` states, when `key` signed it."""
    text, _, signatures = note.partition("\n\n")
    stated = read(note)
    if stated.text() != text + "\n" or stated.origin != key.name:
        raise CheckpointInvalid("the checkpoint has another form or origin")
    for line in signatures.splitlines():
        if _signs(line, key, stated.text().encode()):
            return stated
    raise CheckpointInvalid(f"the checkpoint of size {stated.size} is not signed by {key}")


def _signs(line: str, key: PublicKey, text: bytes) -> bool:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    if (dash, name) != ("—", key.name):
        return False
    try:
        decoded = base64.b64decode(encoded, validate=True)
        Ed25519PublicKey.from_public_bytes(key.raw).verify(decoded[4:], text)
    except (binascii.Error, InvalidSignature, ValueError):
        return False
    # Base64 can spell the same bytes in several ways: only the one that signers write is taken.
    return decoded[:4] == key.key_id and base64.b64encode(decoded).decode() == encoded
