"""A creator at work, over HTTP; and the shortest ways to an item in each state."""

import json
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import httpx
from botocore.client import BaseClient

from api.auth import Role
from api.cli.place import mint_token
from api.schemas import StatusOut
from api.upload_schemas import PartsUploadOut, RegisteredOut, UploadOut
from domain.media import attempt_id
from domain.read_model import project_history
from tests.api.gpu import Gpu, Job
from tests.api.service import Service


class Clip(NamedTuple):
    """A file to upload."""

    file_name: str = "holiday.mp4"
    content_type: str = "video/mp4"
    body: bytes = b"the bytes of a film"

    def request(self) -> dict[str, Any]:
        """The body of its registration."""
        return {
            "fileName": self.file_name,
            "contentType": self.content_type,
            "size": len(self.body),
        }


VIDEO = Clip()
AUDIO = Clip("song.mp3", "audio/mpeg", b"the bytes of a song")


class Studio:
    """One creator of a service, with a GPU that works for it."""

    def __init__(self, service: Service, s3: BaseClient, creator: str) -> None:
        self.service = service
        self.s3 = s3
        self.creator = creator
        self.gpu = Gpu(service, s3)
        self.media: list[UUID] = []

    def auth(self, *roles: Role) -> dict[str, str]:
        """The creator's Authorization header, with these roles instead of `creator`."""
        minted = mint_token(
            self.service.settings,
            self.creator,
            list(roles) or [Role.CREATOR],
            timedelta(minutes=5),
        )
        return {"authorization": f"Bearer {minted}"}

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """GET as the creator; underscores in header names stand for dashes."""
        return await self.service.http.get(path, headers=self.auth() | _named(headers))

    async def post(self, path: str, body: object = None, **headers: str) -> httpx.Response:
        """POST JSON as the creator."""
        return await self.service.http.post(path, json=body, headers=self.auth() | _named(headers))

    async def register(self, clip: Clip = VIDEO, **headers: str) -> RegisteredOut:
        """Register `clip`."""
        answer = await self.post("/api/media", clip.request(), **headers)
        assert answer.status_code == 201, answer.text
        registered = RegisteredOut.model_validate_json(answer.content)
        self.media.append(registered.media.id)
        return registered

    async def put(self, upload: UploadOut | PartsUploadOut | None, body: bytes) -> httpx.Response:
        """Send `body` to the bucket as the service said."""
        assert isinstance(upload, UploadOut)
        return await self.service.network.put(upload.url, content=body, headers=upload.headers)

    async def uploaded(self, clip: Clip = VIDEO) -> UUID:
        """An item whose file is in the bucket, and nobody said so yet."""
        registered = await self.register(clip)
        answer = await self.put(registered.upload, clip.body)
        assert answer.status_code == 200, answer.text
        return registered.media.id

    async def complete(self, media_id: UUID) -> httpx.Response:
        """Say that the upload is there."""
        return await self.post(f"/api/media/{media_id}/complete")

    async def transcoding(self, clip: Clip = VIDEO) -> Job:
        """An item whose first attempt has a job."""
        media_id = await self.uploaded(clip)
        answer = await self.complete(media_id)
        assert answer.status_code == 202, answer.text
        return await self.job(media_id)

    async def job(self, media_id: UUID) -> Job:
        """The item's present job, as a worker would know it."""
        status = await self.status(media_id)
        item = (await self.get(f"/api/media/{media_id}")).json()
        assert status.runpod_job_id is not None
        attempt = status.attempts
        return Job(
            media_id=media_id,
            attempt=attempt,
            attempt_id=attempt_id(media_id, attempt),
            job_id=status.runpod_job_id,
            type=item["mediaType"],
            creator_id=self.creator,
        )

    async def failed(self) -> Job:
        """An item whose first attempt failed."""
        job = await self.transcoding()
        assert (await self.gpu.fail(job)).json() == {"verdict": "failed"}
        return job

    async def ready(self, clip: Clip = VIDEO) -> Job:
        """An item that plays."""
        job = await self.transcoding(clip)
        assert (await self.gpu.finish(job)).json() == {"verdict": "ready"}
        return job

    async def status(self, media_id: UUID) -> StatusOut:
        """The item's status."""
        answer = await self.get(f"/api/transcoding/status/{media_id}")
        assert answer.status_code == 200, answer.text
        return StatusOut.model_validate_json(answer.content)

    async def retry(self, media_id: UUID) -> httpx.Response:
        """Ask for another attempt."""
        return await self.post("/api/transcoding/retry", {"mediaId": str(media_id)})

    async def events(self, media_id: UUID) -> list[str]:
        """The types of the item's events, in order, without `media.`."""
        history = (await self.get(f"/api/media/{media_id}/events")).json()
        return [event["type"].removeprefix("media.") for event in history["events"]]

    async def check_books(self) -> None:
        """Every row is what its history makes of it, every event is there once and in order."""
        for media_id in self.media:
            await check_books(self.service, media_id)


async def check_books(service: Service, media_id: UUID) -> None:
    """The item's row equals `fold` of its history, projected."""
    history = await service.services.store.load(media_id)
    assert [stored.version for stored in history] == list(range(1, len(history) + 1))
    assert len({stored.event_id for stored in history}) == len(history)
    text = await service.services.pool.fetchval(
        "SELECT to_jsonb(m) FROM media_items m WHERE id = $1", media_id
    )
    row = json.loads(text)
    expected = project_history(media_id, (stored.event for stored in history))
    assert expected is not None
    deadlines = (row.pop("deadline_at"), expected.pop("deadline_at"))  # type: ignore[misc]  # compared apart
    assert {name: row[name] for name in expected} == expected
    kept, projected = (text and datetime.fromisoformat(text) for text in deadlines)
    assert kept == projected


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
