"""Errors as RFC 9457 problem details: the one table from refusals to HTTP statuses."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route

from api.problem_codes import type_of
from domain import errors as e
from domain.upcasting import EventTooNew
from gpu_worker.contract_logs import fields
from infra.postgres.pool import UNAVAILABLE, SchemaBehind

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5


class Problem(BaseModel):
    """An RFC 9457 problem. `type` and `code` are stable; `detail` is for people."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(
        description="Where this service explains it.",
        json_schema_extra={"format": "uri-reference"},
        examples=[type_of("access_denied")],
    )
    title: str
    status: int
    code: str
    detail: str
    request_id: str | None = Field(
        default=None, alias="requestId", description="Quote it: our logs tell by it what happened."
    )


class ApiError(Exception):
    """A refusal that arises in the HTTP layer itself."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        retry_after_s: int | None = None,
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s
        self.headers = headers or {}
        self.status = status
        self.code = code
        self.detail = detail
        self.extra = extra


class Mapped(NamedTuple):
    """How a kind of refusal is answered."""

    status: int
    retry_after: bool = False


STATUSES: dict[type[e.DomainError], Mapped] = {
    e.DomainError: Mapped(409),
    e.AccessDenied: Mapped(403),
    e.RetryRefused: Mapped(400),
    e.TranscodingRunning: Mapped(409),
    e.InvalidTransition: Mapped(409),
    e.UploadRefused: Mapped(422),
    e.QuotaExceeded: Mapped(403),
    e.QuotaUsedUp: Mapped(429),
    e.UploadMissing: Mapped(409),
    e.UploadMismatch: Mapped(422),
    e.IdempotencyKeyReused: Mapped(422),
    e.ConcurrencyConflict: Mapped(409, retry_after=True),
}
"""Refusals of the domain. A kind that is not here answers as the nearest kind above it."""

SPECIFIC_CODES = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}
NAMED_HEADERS = {401: {"www-authenticate": "Bearer"}, 408: {"connection": "close"}}
"""What RFC 9110 (15.5.2, 15.5.9) wants beside a status."""


def problem(
    status: int, code: str, detail: str, headers: dict[str, str] | None = None, **extra: Any
) -> JSONResponse:
    """A problem details answer."""
    body = Problem(
        type=type_of(code),
        title=HTTPStatus(status).phrase,
        status=status,
        code=code,
        detail=detail,
        requestId=fields().get("request_id"),
        **extra,
    )
    told = body.model_dump(mode="json", by_alias=True, exclude_none=True)
    return JSONResponse(told, status_code=status, headers=headers, media_type=MEDIA_TYPE)


async def on_domain_error(_: Request, error: Exception) -> Response:
    """A refused command."""
    mapped = next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)
    wait_s = getattr(error, "retry_after_s", None) or (1 if mapped.retry_after else None)
    headers = None if wait_s is None else {"retry-after": str(wait_s)}
    code = error.code if isinstance(error, e.DomainError) else "refused"
    return problem(mapped.status, code, str(error), headers)


async def on_api_error(_: Request, error: Exception) -> Response:
    """A request that the HTTP layer refuses."""
    assert isinstance(error, ApiError)  # noqa: S101 - registered for this class alone
    headers = {**error.headers, **NAMED_HEADERS.get(error.status, {})}
    if error.retry_after_s is not None:
        headers["retry-after"] = str(error.retry_after_s)
    return problem(error.status, error.code, error.detail, headers, **error.extra)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """What Starlette itself refuses: unknown routes and methods. OPTIONS is told the methods."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class alone
    code = SPECIFIC_CODES.get(error.status_code, "refused")
    if error.status_code != 405:
        return problem(error.status_code, code, error.detail)
    headers = {"allow": _allowed(request)}
    if request.method == "OPTIONS":
        return Response(status_code=204, headers=headers)
    return problem(405, code, f"This path takes {headers['allow']}.", headers)


def _allowed(request: Request) -> str:
    # Starlette names the methods of the first route that fits the path, RFC 9110, 15.5.6, all.
    fitting = (
        route.methods or set()
        for route in request.app.routes
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE
    )
    return ", ".join(sorted({"OPTIONS"}.union(*fitting)))


async def on_unavailable(request: Request, error: Exception) -> Response:
    """The database, the bucket or RunPod is away: try again."""
    log.warning("%s %s: %s: %s", request.method, _template(request), type(error).__name__, error)
    return problem(
        503,
        "unavailable",
        "A part of the service does not answer at the moment. Nothing was lost; try again.",
        {"retry-after": str(RETRY_AFTER_S)},
    )


async def on_disconnect(_: Request, error: Exception) -> Response:  # noqa: ARG001 - a handler's
    """The client went away before its body's end: nobody reads this."""
    return problem(400, "body_incomplete", "The request's body ended too early.")


async def on_surprise(request: Request, _: Exception) -> Response:
    """A bug: logged with its trace by `api.observed`; the answer never shows that."""
    detail = f"{request.method} {_template(request)} failed on our side. The failure was logged."
    return problem(500, "internal_error", detail)


def _template(request: Request) -> str:
    # Not the path itself: those of webhooks and playback hold tokens.
    route = request.scope.get("route")
    return route.path if isinstance(route, Route) else "(no route)"


HANDLERS: dict[Any, Any] = {
    ApiError: on_api_error,
    HTTPException: on_http_exception,
    ClientDisconnect: on_disconnect,
    e.DomainError: on_domain_error,
    e.StorageUnavailable: on_unavailable,
    e.TranscoderError: on_unavailable,
    e.StoreInterrupted: on_unavailable,
    SchemaBehind: on_unavailable,
    EventTooNew: on_unavailable,
    Exception: on_surprise,
    **dict.fromkeys(UNAVAILABLE, on_unavailable),
}
