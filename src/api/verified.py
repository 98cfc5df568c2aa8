"""Tokens that were verified a moment ago: who polls need not be verified each time."""

import time
from typing import Generic, NamedTuple, TypeVar

MAX_LIFE_S = 30.0
"""A key that was withdrawn is honoured so much longer; never a token past its own end."""
MAX_KEPT = 4_096

T = TypeVar("T")


class _Kept(NamedTuple, Generic[T]):
    value: T
    until: float


class Verified(Generic[T]):
    """What tokens came to, for a short while, and for at most so many of them."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept[T]] = {}

    def find(self, token: str) -> T | None:
        """What this very token came to; None when that is unknown, or too long ago."""
        kept = self._kept.get(token)
        if kept is None:
            return None
        if time.time() >= kept.until:
            del self._kept[token]
            return None
        return kept.value

    def keep(self, token: str, value: T, expires_at: float) -> T:
        """Remember what it came to, until `expires_at` (Unix seconds) at most."""
        if len(self._kept) >= MAX_KEPT:  # The oldest: dicts are in order of insertion.
            del self._kept[next(iter(self._kept))]
        self._kept[token] = _Kept(value, min(expires_at, time.time() + MAX_LIFE_S))
        return value
