"""A creator and an auditor over real HTTP. They try again what was not answered, and remember."""

import asyncio
import time
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx

from api.auth import Role
from api.cli.place import mint_token
from infra.settings import Settings
from tests.kill.retrying import DELIVERY_LIMIT_S, until_answered

CREATOR = "alice"
LIFE_LIMIT_S = 100.0
LOOK_EVERY_S = 0.5
FILM = b"the bytes of a film"
LARGE = 10 * FILM
"""Of items called `parts`: it goes in parts, of which it has one."""


class Creator:
    """Acts, and keeps what was promised: (event type, media id) that must be in the history."""

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        self.film = FILM
        self._http = http
        self._url = settings.public_app_url
        self._tokens = {
            role: mint_token(settings, CREATOR, [role], timedelta(hours=1)) for role in Role
        }
        self.promised: set[tuple[str, UUID]] = set()
        self.tried: Counter[str] = Counter()
        """Requests sent, by path."""
        self.again: set[UUID] = set()
        """Items that failed where they should not have, and were tried once more."""
        self.erased: set[UUID] = set()
        """Items that are erased, as was answered."""

    async def live(self, name: str) -> UUID:
        """Carry `NAME.mp4` from its announcement to `ready`."""
        media_id = await self.upload(name)
        status = await self.until_final(media_id)
        if status["status"] == "failed":
            assert status["error"]["retryable"], status
            if not name.startswith("flawed"):
                self.again.add(media_id)
            await self.retry(media_id)
            status = await self.until_final(media_id)
        assert status["status"] == "ready", status
        if name.startswith("erased"):
            await self.erase(media_id)
        return media_id

    async def erase(self, media_id: UUID) -> None:
        """Erase an item, and again after an answer that was lost."""
        path = f"{self._url}/api/media/{media_id}"
        auth = self._auth(Role.CREATOR)
        answer = await until_answered(
            lambda: self._http.delete(path, headers=auth), DELIVERY_LIMIT_S
        )
        assert answer.status_code == 202, answer.text
        self.promised.add(("media.erased", media_id))
        self.erased.add(media_id)

    async def upload(self, name: str) -> UUID:
        """Register, upload and complete."""
        media_id = await self.register(name)
        await self.complete(media_id)
        return media_id

    async def register(self, name: str) -> UUID:
        """Register and put the file into the bucket."""
        film = LARGE if name.startswith("parts") else self.film
        wanted = {"fileName": f"{name}.mp4", "contentType": "video/mp4", "size": len(film)}
        registered = await self._post("/api/media", wanted, {"idempotency-key": name})
        assert registered.status_code == 201, registered.text
        media_id = UUID(registered.json()["media"]["id"])
        self.promised.add(("media.registered", media_id))
        upload = registered.json()["upload"]
        if upload is not None and upload["kind"] == "parts":
            for part in upload["parts"]:
                put = await self._http.put(part["url"], content=film)
                assert put.status_code == 200, put.text
        elif upload is not None:
            put = await self._http.put(upload["url"], content=film, headers=upload["headers"])
            assert put.status_code in {200, 412}, put.text
        return media_id

    async def complete(self, media_id: UUID) -> None:
        """Say that the file is there."""
        completed = await self._post(f"/api/media/{media_id}/complete")
        assert completed.status_code == 202, completed.text
        self.promised.add(("media.transcoding_requested", media_id))

    async def retry(self, media_id: UUID) -> None:
        """Try once more; a 409 says that an earlier try, whose answer was lost, was heard."""
        answer = await self._post("/api/transcoding/retry", {"mediaId": str(media_id)})
        heard = answer.status_code == 409 and answer.json()["code"] == "transcoding_running"
        assert answer.status_code == 202 or heard, answer.text
        self.promised.add(("media.retry_requested", media_id))

    async def until_final(self, media_id: UUID) -> dict[str, Any]:
        """The status, once it is final."""
        deadline = time.monotonic() + LIFE_LIMIT_S
        while time.monotonic() < deadline:
            answer = await self.get(f"/api/transcoding/status/{media_id}")
            status: dict[str, Any] = answer.json()
            if status["status"] in {"ready", "failed"}:
                return status
            await asyncio.sleep(LOOK_EVERY_S)
        raise TimeoutError(f"not final after {LIFE_LIMIT_S:g} s: {status}")

    async def look_around(self, media_id: UUID) -> None:
        """Read what there is to read of an item that is ready."""
        await self.get("/api/media")
        await self.get(f"/api/media/{media_id}")
        await self.get(f"/api/media/{media_id}/events")
        playback = (await self.get(f"/api/media/{media_id}/playback")).json()
        await self.get(playback["masterUrl"].removeprefix(self._url))
        for path in ("events", "checkpoint", "bundle"):
            await self.get(f"/api/audit/{path}", Role.AUDITOR)
        await self.get("/metrics")
        await self.get("/readyz")

    async def get(self, path: str, role: Role = Role.CREATOR) -> httpx.Response:
        """The answer, which must be good."""
        answer = await until_answered(
            lambda: self._http.get(f"{self._url}{path}", headers=self._auth(role)),
            DELIVERY_LIMIT_S,
        )
        assert answer.status_code == 200, (path, answer.text)
        return answer

    async def _post(
        self, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        async def send() -> httpx.Response:
            self.tried[path] += 1
            auth = self._auth(Role.CREATOR)
            return await self._http.post(
                f"{self._url}{path}", json=body, headers=auth | (headers or {})
            )

        return await until_answered(send, DELIVERY_LIMIT_S)

    def _auth(self, role: Role) -> dict[str, str]:
        return {"authorization": f"Bearer {self._tokens[role]}"}
