"""Everybody who uses the service at once: creators, their browsers, auditors, attackers, probes."""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import httpx

from api.auth import Role
from api.cli.place import mint_token
from infra.settings import Settings
from tests.api.live.reader import PATH
from tests.kill.creator import FILM
from tests.soak.tally import Tally

CREATORS = 40
KEPT = 2000
"""Items that are looked at again."""
STREAM_S = 45.0
FOREVER_S = 30.0
FORGED = "/api/transcoding/webhook"


class Traffic:
    """Requests to one service, each timed and its answer checked."""

    def __init__(self, settings: Settings, http: httpx.AsyncClient, tally: Tally) -> None:
        self._http = http
        self._tally = tally
        self._chance = random.Random(7)  # noqa: S311 - not for secrets
        self._names = [f"creator-{number}" for number in range(CREATORS)]
        self._tokens = {
            name: mint_token(settings, name, [Role.CREATOR], timedelta(hours=12))
            for name in self._names
        }
        self._auditor = mint_token(settings, "auditor", [Role.AUDITOR], timedelta(hours=12))
        self._items: deque[tuple[str, str]] = deque(maxlen=KEPT)
        """Creator and media id."""
        self._etags: dict[str, str] = {}
        self.uploaded = 0

    async def upload(self) -> None:
        """Announce a file, send it and say so."""
        creator = self._chance.choice(self._names)
        wanted = {"fileName": "soak.mp4", "contentType": "video/mp4", "size": len(FILM)}
        async with self._tally.timed("upload"):
            made = await self._ask("POST", "/api/media", creator, 201, json=wanted)
            upload = made.json()["upload"]
            put = await self._http.put(upload["url"], content=FILM, headers=upload["headers"])
            assert put.status_code == 200, put.text
            media_id = made.json()["media"]["id"]
            await self._ask("POST", f"/api/media/{media_id}/complete", creator, 202)
            self._items.append((creator, media_id))
            self.uploaded += 1

    async def poll(self) -> None:
        """Ask for the status of an item, with the ETag of the last time."""
        creator, media_id = self._pick()
        known = {"if-none-match": tag} if (tag := self._etags.get(media_id)) else {}
        async with self._tally.timed("poll"):
            path = f"/api/transcoding/status/{media_id}"
            answer = await self._ask("GET", path, creator, 200, 304, headers=known)
            self._etags[media_id] = answer.headers["etag"]
        while len(self._etags) > KEPT:
            del self._etags[next(iter(self._etags))]

    async def browse(self) -> None:
        """Look through one's items, and into one of them."""
        creator, media_id = self._pick()
        async with self._tally.timed("browse"):
            await self._ask("GET", "/api/media", creator, 200)
            await self._ask("GET", f"/api/media/{media_id}", creator, 200)
            await self._ask("GET", f"/api/media/{media_id}/events", creator, 200)

    async def watch(self) -> None:
        """Hold an event stream for a while; timed is the way to its first message."""
        headers = {"authorization": f"Bearer {self._tokens[self._chance.choice(self._names)]}"}
        texts: AsyncIterator[str] | None = None
        async with AsyncExitStack() as stack:
            async with self._tally.timed("stream"):
                opening = self._http.stream("GET", PATH, headers=headers)
                answer = await stack.enter_async_context(opening)
                assert answer.status_code == 200, answer.status_code
                texts = answer.aiter_text()
                await anext(texts)
            if texts is None:
                return
            try:
                async with asyncio.timeout(self._chance.uniform(1, STREAM_S)):
                    async for _ in texts:
                        pass
                self._tally.wrong("stream", "it ended")
            except TimeoutError:
                return

    async def forge(self) -> None:
        """Send webhooks that nobody signed."""
        async with self._tally.timed("forged"):
            await self._ask("POST", FORGED, None, 401, json={"jobId": "x", "status": "completed"})
            await self._ask("POST", f"{FORGED}/not-a-token", None, 401, json={"id": "x"})

    async def audit(self) -> None:
        """Read the ledger's newest part and checkpoint."""
        async with self._tally.timed("audit"):
            answer = await self._ask("GET", "/api/audit/checkpoint", "auditor", 200)
            after = max(0, answer.json()["size"] - 200)
            await self._ask("GET", f"/api/audit/events?after={after}", "auditor", 200)

    async def bundle(self) -> None:
        """Take the whole history away."""
        async with self._tally.timed("bundle"):
            await self._ask("GET", "/api/audit/bundle", "auditor", 200)

    async def probe(self) -> None:
        """Be Prometheus and the load balancer."""
        async with self._tally.timed("probe"):
            for path in ("/livez", "/readyz", "/metrics"):
                await self._ask("GET", path, None, 200)

    def _pick(self) -> tuple[str, str]:
        return self._chance.choice(self._items)

    async def _ask(
        self,
        method: str,
        path: str,
        who: str | None,
        *expected: int,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
    ) -> httpx.Response:
        token = self._auditor if who == "auditor" else self._tokens.get(who or "")
        auth = {"authorization": f"Bearer {token}"} if token else {}
        answer = await self._http.request(
            method, path, headers=auth | dict(headers or {}), json=json
        )
        assert answer.status_code in expected, f"{answer.status_code} {answer.text}"
        return answer


async def keep(do: Callable[[], Awaitable[None]], every_s: float, tally: Tally) -> None:
    """Do it again and again, so often on average, until cancelled."""
    chance = random.Random()  # noqa: S311 - not for secrets
    while True:
        await asyncio.sleep(chance.uniform(0.5, 1.5) * every_s)
        try:
            async with asyncio.timeout(STREAM_S + FOREVER_S):
                await do()
        except (httpx.HTTPError, TimeoutError) as error:
            tally.wrong(do.__name__, f"{type(error).__name__}: {error}")


def plan(traffic: Traffic) -> list[tuple[Callable[[], Awaitable[None]], float, int]]:
    """What is done, how many seconds apart, and by how many at once."""
    return [
        (traffic.upload, 0.5, 1),
        (traffic.poll, 0.4, 8),
        (traffic.browse, 1.0, 2),
        (traffic.watch, 0.5, 30),
        (traffic.forge, 0.5, 1),
        (traffic.audit, 3.0, 1),
        (traffic.bundle, 30.0, 1),
        (traffic.probe, 5.0, 1),
    ]
