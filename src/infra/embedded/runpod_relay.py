"""Where the workers' signed callbacks pass through when they are to be lost, doubled or delayed."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import httpx
from starlette.requests import Request

log = logging.getLogger("runpod-stand-in")

TIMEOUT_S = 10.0
PASSED_ON = ("content-type", "traceparent", "webhook-id", "webhook-timestamp", "webhook-signature")
UNREACHED = 502


@dataclass(frozen=True)
class Callback:
    """One callback as it came; `url` is where it was meant to go."""

    url: str
    body: bytes
    headers: dict[str, str]

    @classmethod
    def of(cls, request: Request, url: str, body: bytes) -> Self:
        """The callback that `request` brought."""
        found = {name: request.headers.get(name) for name in PASSED_ON}
        return cls(url, body, {name: value for name, value in found.items() if value is not None})

    @property
    def message_id(self) -> str:
        """The same for every try of one message; empty when it has none."""
        return self.headers.get("webhook-id", "")


class CallbackRelay:
    """Async context that passes callbacks on, at once or later; what is late at its end is lost."""

    def __init__(self) -> None:
        self._client = httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False)
        self._late: set[asyncio.Task[int]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._late:
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)
        await self._client.aclose()

    async def pass_on(self, callback: Callback, after_s: float = 0.0) -> int:
        """The status that the receiver answers; 502 when it does not."""
        await asyncio.sleep(after_s)
        try:
            answer = await self._client.post(
                callback.url, content=callback.body, headers=callback.headers
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            log.warning("a callback was not passed on: %s", type(error).__name__)
            return UNREACHED
        return answer.status_code

    def pass_on_later(self, callback: Callback, after_s: Sequence[float]) -> None:
        """Passes `callback` on once for each of `after_s`, so many seconds from now."""
        for seconds in after_s:
            task = asyncio.create_task(self.pass_on(callback, seconds))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
