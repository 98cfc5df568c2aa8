"""Transcoding status and retry."""

from datetime import datetime

from starlette.responses import Response

from api.media import owned
from api.operations import Call, answer
from api.schemas import RetryRequest, status_out
from domain.errors import AccessDenied
from gpu_worker.contract_logs import bind

CACHE = "private, no-cache"


async def read_status(call: Call) -> Response:
    """An item's status and progress; 304 when `If-None-Match` names what it is already."""
    if offered := call.request.headers.get("if-none-match", ""):
        state = await call.services.reads.state(call.media_id, call.principal.subject)
        if state is not None and _matches(offered, _etag(*state)):
            return Response(status_code=304, headers=_headers(_etag(*state)))
    row = await call.services.reads.item(call.media_id, call.principal.subject)
    if row is None:
        raise AccessDenied(call.media_id)
    etag = _etag(row.version, row.progress.updated_at if row.progress else None)
    return answer(status_out(row), headers=_headers(etag))


def _headers(etag: str) -> dict[str, str]:
    return {"etag": etag, "cache-control": CACHE}


def _etag(version: int, progress_at: datetime | None) -> str:
    progress = int(progress_at.timestamp() * 1e6) if progress_at else 0
    return f'"{version}-{progress:x}"'


def _matches(offered: str, etag: str) -> bool:
    # RFC 9110, 13.1.2: a list, `*`, and weak comparison.
    tags = {tag.strip().removeprefix("W/") for tag in offered.split(",")}
    return "*" in tags or etag in tags


async def retry_transcoding(call: Call) -> Response:
    """Try a failed item once more; 202 with the item."""
    assert isinstance(call.body, RetryRequest)  # noqa: S101 - the operation's body model
    media_id = call.body.media_id
    bind(media_id=media_id)
    await call.services.dispatch.retry(media_id, call.principal.subject, call.context)
    return answer(await owned(call, media_id), 202)
