"""The service's calls, each as one value: what to send, and how to read the answer. No I/O."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx

from codex_media import models as m

T = TypeVar("T")
M = TypeVar("M", bound=m.Model)


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request, and what its answer means."""

    operation: str
    """The operation's name in the service's OpenAPI description."""
    method: str
    path: str
    read: Callable[[httpx.Response], T]
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: object = None
    repeatable: bool = True
    """Whether it does no harm to send it again although it may have arrived."""
    taken: frozenset[int] = frozenset()
    """Statuses beside 2xx that are answers, not refusals."""


def _model(kind: type[M]) -> Callable[[httpx.Response], M]:
    return lambda answer: kind.model_validate_json(answer.content)


def _given(**values: object) -> dict[str, str]:
    return {name: str(value) for name, value in values.items() if value is not None}


def session() -> Call[m.Session]:
    """Who the token says one is."""
    return Call("read_session", "GET", "/api/session", _model(m.Session))


def register(
    file_name: str, content_type: str, size: int, idempotency_key: str | None
) -> Call[m.Registered]:
    """Announce a file. Without a key it gets one, so that no repetition makes a second item."""
    return Call(
        "register_media",
        "POST",
        "/api/media",
        _model(m.Registered),
        headers={"idempotency-key": idempotency_key or str(uuid4())},
        json={"fileName": file_name, "contentType": content_type, "size": size},
    )


def page(status: str | None, cursor: str | None, limit: int | None) -> Call[m.MediaPage]:
    """A page of one's items."""
    query = _given(status=status, cursor=cursor, limit=limit)
    return Call("list_media", "GET", "/api/media", _model(m.MediaPage), query)


def media(media_id: UUID, version: int | None, at: datetime | None) -> Call[m.Media]:
    """An item, now or then."""
    query = _given(version=version, at=at and at.isoformat())
    return Call("read_media", "GET", f"/api/media/{media_id}", _model(m.Media), query)


def renew(media_id: UUID) -> Call[m.Registered]:
    """What is missing of a file."""
    path = f"/api/media/{media_id}/upload"
    return Call("renew_upload", "GET", path, _model(m.Registered))


def abandon(media_id: UUID) -> Call[m.Media]:
    """Give up an upload."""
    path = f"/api/media/{media_id}/upload"
    return Call("abandon_upload", "DELETE", path, _model(m.Media), repeatable=False)


def complete(media_id: UUID) -> Call[m.Media]:
    """Say that the file is there. Said twice, it changes nothing more."""
    path = f"/api/media/{media_id}/complete"
    return Call("complete_upload", "POST", path, _model(m.Media))


def erase(media_id: UUID) -> Call[m.Media]:
    """Erase an item for good. Said twice, it changes nothing more."""
    return Call("erase_media", "DELETE", f"/api/media/{media_id}", _model(m.Media))


def history(media_id: UUID) -> Call[m.History]:
    """An item's events."""
    return Call("read_history", "GET", f"/api/media/{media_id}/events", _model(m.History))


def playback(media_id: UUID) -> Call[m.Playback]:
    """URLs that a player can load."""
    return Call("read_playback", "GET", f"/api/media/{media_id}/playback", _model(m.Playback))


def status(media_id: UUID) -> Call[m.MediaStatus]:
    """An item's status."""
    path = f"/api/transcoding/status/{media_id}"
    return Call("read_status", "GET", path, _model(m.MediaStatus))


def retry(media_id: UUID) -> Call[m.Media]:
    """Try a failed item again."""
    return Call(
        "retry_transcoding",
        "POST",
        "/api/transcoding/retry",
        _model(m.Media),
        json={"mediaId": str(media_id)},
        repeatable=False,
    )


def stream(last_event_id: str | None) -> Call[None]:
    """One's items as they change."""
    headers = {"accept": "text/event-stream"} | (
        {"last-event-id": last_event_id} if last_event_id else {}
    )
    return Call("read_stream", "GET", "/api/transcoding/events", _nothing, headers=headers)


def ledger(after: int) -> Call[None]:
    """All events in order."""
    query = {"after": str(after)}
    return Call("read_ledger", "GET", "/api/audit/events", _nothing, query)


def bundle() -> Call[None]:
    """What proves the history offline."""
    return Call("read_bundle", "GET", "/api/audit/bundle", _nothing)


def checkpoint() -> Call[m.Checkpoint]:
    """The newest signed checkpoint."""
    headers = {"accept": "application/json"}
    kind = _model(m.Checkpoint)
    return Call("read_checkpoint", "GET", "/api/audit/checkpoint", kind, headers=headers)


def evidence(sha256: str) -> Call[bytes]:
    """The raw message that an event rests on."""
    path = f"/api/audit/evidence/{quote(sha256, safe='')}"
    return Call("read_evidence", "GET", path, lambda answer: answer.content)


def alive() -> Call[m.Health]:
    """Whether the process answers."""
    return Call("livez", "GET", "/livez", _model(m.Health))


def ready() -> Call[m.Health]:
    """Whether its parts answer; what is wrong, otherwise."""
    kind = _model(m.Health)
    return Call("readyz", "GET", "/readyz", kind, repeatable=False, taken=frozenset({503}))


def metrics() -> Call[str]:
    """The service's figures, for Prometheus."""
    return Call("read_metrics", "GET", "/metrics", lambda answer: answer.text)


def description() -> Call[dict[str, Any]]:
    """The service's OpenAPI document."""
    return Call("read_openapi", "GET", "/openapi.json", _object)


def _object(answer: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = answer.json()
    return found


def _nothing(_: httpx.Response) -> None:
    return None
