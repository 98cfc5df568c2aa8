"""What a hostile message is."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.hostile.scene import Scene

Headers = list[tuple[str, str]]
REFUSED = frozenset({401})
NO_REPORT = frozenset({422})
TOO_LARGE = frozenset({413})
HARMLESS = frozenset({200})


@dataclass(frozen=True, slots=True)
class Hostile:
    """One request."""

    kind: str
    path: str
    headers: Headers
    body: bytes
    allowed: frozenset[int]
    cut: bool = False
    """The client goes away before the body's end; nobody reads an answer."""


Make = Callable[[Scene, random.Random], Hostile]


def flip(text: str, chance: random.Random) -> str:
    """`text` with one bit of one character changed."""
    place = chance.randrange(len(text))
    other = chr(ord(text[place]) ^ (1 << chance.randrange(5)))
    return (
        text[:place] + (other if other.isprintable() and other != "/" else "~") + text[place + 1 :]
    )


NO_REPORTS: list[bytes] = [
    b"",
    b"null",
    b"[]",
    b'"text"',
    b"\x00",
    b"\xff\xfe",
    b"[" * 30_000,
    b'{"a":' * 10_000,
    b"9" * 60_000,
    b"1e400",
    b'{"jobId":"\\ud800"}',
    b'{"jobId":"a","jobId":"b"}',
    "\ufeff{}".encode(),
]
"""Bodies that are no report."""
