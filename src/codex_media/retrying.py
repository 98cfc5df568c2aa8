"""When a call is sent again, and after how long: the same for both clients."""

import random
from dataclasses import dataclass

import httpx

from codex_media.errors import retry_after_s

TRIES = 6
FIRST_PAUSE_S, LAST_PAUSE_S = 0.25, 5.0
PASSING = frozenset({429, 502, 503, 504})
"""Statuses of what passes."""
NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(slots=True)
class Tries:
    """The tries of one call, within `patience_s` seconds from `began_s`."""

    repeatable: bool
    """Whether it does no harm to send it again although it may have arrived."""
    patience_s: float
    began_s: float
    done: int = 0

    def pause_after(self, what: httpx.Response | httpx.HTTPError, now_s: float) -> float | None:
        """Seconds until the next try; None when there is none.

        `Retry-After` is obeyed, and never shortened: what it puts beyond our patience ends it.
        """
        self.done += 1
        if self.done >= TRIES or not self._again(what):
            return None
        pause_s = min(FIRST_PAUSE_S * 2 ** (self.done - 1), LAST_PAUSE_S)
        pause_s *= random.uniform(0.5, 1.0)  # noqa: S311 - spreads clients, hides nothing
        if isinstance(what, httpx.Response) and (told := retry_after_s(what)) is not None:
            pause_s = max(pause_s, told)
        return pause_s if now_s + pause_s <= self.began_s + self.patience_s else None

    def _again(self, what: httpx.Response | httpx.HTTPError) -> bool:
        if isinstance(what, httpx.Response):
            refused = what.status_code == 429
            return refused or (self.repeatable and what.status_code in PASSING)
        return self.repeatable or isinstance(what, NEVER_SENT)
