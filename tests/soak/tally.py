"""How long each kind of request took, and what went wrong."""

import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

MOST_TROUBLES = 50


class Tally:
    """Times in seconds by kind, and the first troubles in words."""

    def __init__(self) -> None:
        self.took_s: dict[str, list[float]] = defaultdict(list)
        self.troubles: list[str] = []
        self.errors: Counter[str] = Counter()

    @asynccontextmanager
    async def timed(self, kind: str) -> AsyncIterator[None]:
        """What happens inside is one request of a kind; what it raises is one error, and told."""
        started = time.monotonic()
        try:
            yield
        except (httpx.HTTPError, AssertionError, TimeoutError) as error:
            self.wrong(kind, f"{type(error).__name__}: {error}")
        else:
            self.took_s[kind].append(time.monotonic() - started)

    def wrong(self, kind: str, what: str) -> None:
        """Count an error."""
        self.errors[kind] += 1
        if len(self.troubles) < MOST_TROUBLES:
            self.troubles.append(f"{kind}: {what[:300]}")

    def quantile_ms(self, kind: str, share: float) -> float:
        """So many of them took at most so long."""
        ordered = sorted(self.took_s[kind])
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]
