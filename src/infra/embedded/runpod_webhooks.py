"""The native webhook that RunPod posts at the end of a job."""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Self

import httpx
from pydantic import JsonValue

from infra.embedded.runpod_queue import Job, JobStatus

log = logging.getLogger("runpod-stand-in")

TRIES = 3
"""Documented: it wants a 200, and tries twice more, ten seconds apart."""
TIMEOUT_S = 10.0


class NativeWebhooks:
    """Async context that posts webhooks in the background; on leaving, unsent ones are dropped."""

    def __init__(self, retry_s: float) -> None:
        self._retry_s = retry_s
        # No proxy of the environment: the receiver is on this machine.
        self._client = httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False)
        self._posts: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for post in self._posts:
            post.cancel()
        await asyncio.gather(*self._posts, return_exceptions=True)
        await self._client.aclose()

    def announces(self, job: Job) -> bool:
        """Cancelled jobs are not announced: whether the vendor does is not known, and the service
        must live without."""
        return job.request.webhook is not None and job.status is not JobStatus.CANCELLED

    def announce(self, job: Job, after_s: Sequence[float] = (0.0,)) -> None:
        """Posts that `job` ended, once for each of `after_s`, so many seconds from now."""
        log.info("%s ended %s", job.id, job.status)
        if job.request.webhook is not None and self.announces(job):
            body = job.webhook_body(time.monotonic())
            for seconds in after_s:
                post = asyncio.create_task(self._post(job.id, job.request.webhook, body, seconds))
                self._posts.add(post)
                post.add_done_callback(self._posts.discard)

    async def foretell(self, job: Job) -> None:
        """Posts once that `job` completed, though it did not, and waits for the answer."""
        if job.request.webhook is not None:
            body = job.webhook_body(time.monotonic()) | {"status": JobStatus.COMPLETED.value}
            await self._try(job.request.webhook, body)

    async def _post(
        self, job_id: str, url: str, body: dict[str, JsonValue], after_s: float
    ) -> None:
        await asyncio.sleep(after_s)
        for number in range(1, TRIES + 1):
            outcome = await self._try(url, body)
            if outcome == "200":
                return
            # Not the URL: it holds a token.
            log.warning("webhook of %s, try %d of %d: %s", job_id, number, TRIES, outcome)
            if number < TRIES:
                await asyncio.sleep(self._retry_s)

    async def _try(self, url: str, body: dict[str, JsonValue]) -> str:
        try:
            answer = await self._client.post(url, json=body)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return type(error).__name__
        return str(answer.status_code)
