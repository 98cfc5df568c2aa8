"""How often somebody may ask: counted in windows, in this process or in Redis for all of them.

The windows, their notation and the Redis side are those of `limits`. Its own memory store looks
through everything it holds with each hit, and holds any number: here is one that does neither.
"""

import asyncio
import logging
import time
from enum import StrEnum
from math import ceil
from typing import Any, NamedTuple

import limits
from limits.aio.storage import RedisStorage, Storage
from limits.errors import ConfigurationError, StorageError

from infra.figures.process import RATE_STORE_FAILED
from infra.security_settings import OFF
from infra.settings import Settings, SettingsInvalid

MOST_KEPT = 65_536
STORE_TIMEOUT_S = 0.5
STORE_CONNECTIONS = 16
AWAY_S = 5.0
"""After a failure the store is left alone so long; each process counts for itself meanwhile."""

log = logging.getLogger(__name__)


class Pace(StrEnum):
    """What is counted apart. Its limit is the setting `rate_…` of its name."""

    READS = "reads"
    WRITES = "writes"
    REGISTRATIONS = "registrations"
    SIGN_INS = "sign_ins"
    WEBHOOKS = "webhooks"
    ANONYMOUS = "anonymous"


class Standing(NamedTuple):
    """Where somebody stands after a hit."""

    limit: int
    window_s: int
    remaining: int
    retry_after_s: int | None
    """None: admitted."""


class OwnMemory(Storage):
    """Counts of this process, of the newest `MOST_KEPT` callers."""

    STORAGE_SCHEME = None

    def __init__(self) -> None:
        super().__init__()
        self._windows: dict[str, tuple[int, float]] = {}

    @property
    def base_exceptions(self) -> type[Exception]:
        """Nothing fails here."""
        return ValueError

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count `amount` in the window that runs, or begin one of `expiry` seconds."""
        now = time.time()
        count, ends = self._windows.get(key, (0, 0.0))
        if ends <= now:
            self._windows.pop(key, None)  # A new window goes to the end of the line.
            count, ends = 0, now + expiry
            if len(self._windows) >= MOST_KEPT:
                del self._windows[next(iter(self._windows))]
        self._windows[key] = (count + amount, ends)
        return count + amount

    async def get(self, key: str) -> int:
        """The count of the window that runs."""
        count, ends = self._windows.get(key, (0, 0.0))
        return count if ends > time.time() else 0

    async def get_expiry(self, key: str) -> float:
        """When the window ends, in Unix seconds."""
        return self._windows.get(key, (0, time.time()))[1]

    async def check(self) -> bool:
        """It is there."""
        return True

    async def reset(self) -> int | None:
        """Forget everybody."""
        count = len(self._windows)
        self._windows.clear()
        return count

    async def clear(self, key: str) -> None:
        """Forget somebody."""
        self._windows.pop(key, None)


class Rates:
    """The limits of `settings`."""

    def __init__(self, settings: Settings) -> None:
        self._limits = {
            pace: limits.parse(limit)
            for pace in Pace
            if settings.rate_limits and (limit := getattr(settings, f"rate_{pace}")) != OFF
        }
        self._own = OwnMemory()
        self._shared = _shared(settings) if settings.rate_limits else None
        self._few = asyncio.Semaphore(STORE_CONNECTIONS)
        self._away_until = 0.0

    async def hit(self, pace: Pace, who: str) -> Standing | None:
        """Count one; where that leaves `who`. None where this pace has no limit."""
        if (limit := self._limits.get(pace)) is None:
            return None
        shared = self._shared and await self._shared_hit(self._shared, limit, pace, who)
        return shared or await _hit(self._own, limit, pace, who)

    async def _shared_hit(
        self, store: RedisStorage, limit: limits.RateLimitItem, pace: Pace, who: str
    ) -> Standing | None:
        """None while the store is away. Who waits for others has not waited for the store."""
        async with self._few:
            if self._is_away():
                return None
            try:
                async with asyncio.timeout(STORE_TIMEOUT_S):
                    return await _hit(store, limit, pace, who)
            except (StorageError, OSError, TimeoutError) as error:
                self._leave_alone(error)
                return None

    def _is_away(self) -> bool:
        return time.monotonic() < self._away_until

    def _leave_alone(self, error: Exception) -> None:
        """Told once, though several may have waited."""
        if self._is_away():
            return
        self._away_until = time.monotonic() + AWAY_S
        RATE_STORE_FAILED.inc()
        log.warning(
            "RATE_LIMIT_STORE does not answer (%s): each process counts for itself",
            type(error).__name__,
        )

    async def aclose(self) -> None:
        """Let go of the store."""
        if self._shared is not None:
            client: Any = self._shared.bridge
            await client.get_connection().aclose()


async def _hit(store: Storage, limit: limits.RateLimitItem, pace: Pace, who: str) -> Standing:
    key, window_s = limit.key_for(pace, who), limit.get_expiry()
    remaining = limit.amount - await store.incr(key, window_s)
    retry_after_s = None
    if remaining < 0:
        retry_after_s = max(1, ceil(await store.get_expiry(key) - time.time()))
    return Standing(limit.amount, window_s, max(0, remaining), retry_after_s)


def _shared(settings: Settings) -> RedisStorage | None:
    if settings.rate_limit_store is None:
        return None
    try:
        return RedisStorage(
            f"async+{settings.rate_limit_store.get_secret_value()}",
            wrap_exceptions=True,
            implementation="redispy",
            key_prefix="codex-media",
            socket_connect_timeout=STORE_TIMEOUT_S,
            socket_timeout=STORE_TIMEOUT_S,
        )
    except (ConfigurationError, ValueError) as error:
        reason = "needs the package `redis`" if "depend" in str(error) else "names no server"
        raise SettingsInvalid(f"RATE_LIMIT_STORE {reason}") from None
