"""What an event says of a person: committed to by the history, and kept beside it, to be erased.

The commitment is SHA-256 over a line with the form, a line with a random salt, and the fields as
RFC 8785 writes them. With salt and fields anybody can check that they are what was committed to;
once both are gone, nobody can find the fields by guessing: the salt has 256 bits.
"""

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import NamedTuple

FORM = "codex-media.personal.v1"
SALT_BYTES = 32

Canonical = Callable[[Mapping[str, object]], str]
"""The RFC 8785 text of JSON."""


class PersonalRecord(NamedTuple):
    """The personal fields of one event, as they are kept."""

    salt: bytes
    fields_json: str
    """RFC 8785 text, exactly as committed to."""

    @property
    def commitment(self) -> str:
        """What stands in the event's payload, in hex."""
        text = f"{FORM}\n{self.salt.hex()}\n{self.fields_json}"
        return sha256(text.encode()).hexdigest()
