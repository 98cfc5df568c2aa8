"""A small typed client of our own HTTP API, used by the command line."""

import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit
from uuid import UUID

import httpx

from api.cli.file import MediaFile
from api.problems import Problem
from api.schemas import (
    HistoryOut,
    MediaOut,
    PlaybackOut,
    RegisterRequest,
    StatusOut,
)
from api.upload_schemas import RegisteredOut
from domain.lifecycle import Status
from infra.addresses import LOOPBACK

POLL_S = 0.5
FINAL = {Status.READY, Status.FAILED, Status.ERASED}
TIMEOUT = httpx.Timeout(15.0, connect=5.0)


class ServiceRefused(Exception):
    """The service said no; `code` is stable, the text is for people."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code


class ServiceUnreachable(Exception):
    """The service, or the bucket, did not answer."""

    code = "unreachable"


def proxied(url: str) -> bool:
    """Whether the environment's proxy variables apply to `url`: not to this very machine."""
    return urlsplit(url).hostname not in LOOPBACK


class MediaClient:
    """Calls the service at `base_url` as the bearer of `token`."""

    def __init__(self, base_url: str, token: str) -> None:
        headers = {"authorization": f"Bearer {token}"}
        self._http = httpx.Client(
            base_url=base_url, headers=headers, timeout=TIMEOUT, trust_env=proxied(base_url)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def register(self, file: MediaFile) -> RegisteredOut:
        """Register `file`; where to upload it is in the answer."""
        wanted = RegisterRequest(
            file_name=file.path.name, content_type=file.content_type, size=file.size
        )
        answer = self._call(
            "POST", "/api/media", json=wanted.model_dump(mode="json", by_alias=True)
        )
        return RegisteredOut.model_validate_json(answer.content)

    def renew(self, media_id: UUID) -> RegisteredOut:
        """The item, and what is missing of its file."""
        answer = self._call("GET", f"/api/media/{media_id}/upload")
        return RegisteredOut.model_validate_json(answer.content)

    def media(self, media_id: UUID) -> MediaOut:
        """The item."""
        return MediaOut.model_validate_json(self._call("GET", f"/api/media/{media_id}").content)

    def complete(self, media_id: UUID) -> MediaOut:
        """Say that the upload is there."""
        answer = self._call("POST", f"/api/media/{media_id}/complete")
        return MediaOut.model_validate_json(answer.content)

    def status(self, media_id: UUID) -> StatusOut:
        """The item's status."""
        answer = self._call("GET", f"/api/transcoding/status/{media_id}")
        return StatusOut.model_validate_json(answer.content)

    def follow(self, media_id: UUID, limit_s: float) -> Iterator[StatusOut]:
        """The status again and again until it is final, at most `limit_s` seconds."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            status = self.status(media_id)
            yield status
            if status.status in FINAL:
                return
            time.sleep(POLL_S)

    def retry(self, media_id: UUID) -> MediaOut:
        """Try a failed item again."""
        answer = self._call("POST", "/api/transcoding/retry", json={"mediaId": str(media_id)})
        return MediaOut.model_validate_json(answer.content)

    def erase(self, media_id: UUID) -> MediaOut:
        """Erase an item for good."""
        return MediaOut.model_validate_json(self._call("DELETE", f"/api/media/{media_id}").content)

    def history(self, media_id: UUID) -> HistoryOut:
        """The item's events."""
        answer = self._call("GET", f"/api/media/{media_id}/events")
        return HistoryOut.model_validate_json(answer.content)

    def playback(self, media_id: UUID) -> PlaybackOut:
        """URLs that a player can load."""
        answer = self._call("GET", f"/api/media/{media_id}/playback")
        return PlaybackOut.model_validate_json(answer.content)

    def _call(self, method: str, path: str, json: object = None) -> httpx.Response:
        try:
            answer = self._http.request(method, path, json=json)
        except httpx.HTTPError as error:
            raise ServiceUnreachable(
                f"{self._http.base_url} does not answer ({error}). Is `codex-media up` running?"
            ) from None
        if answer.is_success:
            return answer
        raise _refusal(answer)


def _refusal(answer: httpx.Response) -> ServiceRefused:
    try:
        problem = Problem.model_validate_json(answer.content)
    except ValueError:
        status = answer.status_code
        return ServiceRefused(status, "unexpected_answer", f"The service answered {status}.")
    return ServiceRefused(answer.status_code, problem.code, problem.detail)
