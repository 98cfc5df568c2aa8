"""What is told of every request: its id, its trace, one line, one measurement.

The outermost layer, so that it sees what is answered when something breaks. Plain ASGI: an answer
passes through as it is sent, event streams too. Never told is a path, which may hold a token: the
route's template stands for it.
"""

import logging
import re
import time
from collections.abc import Iterable

from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gpu_worker.contract_logs import BOUND
from gpu_worker.contract_trace import CURRENT, Trace, below
from infra import spans
from infra.figures.process import CLIENT_LEFT, request_answered

HEADER = b"x-request-id"
NO_ROUTE = "(no route)"
PROBES = frozenset({"/livez", "/readyz", "/metrics"})
"""Called all the time, and told at DEBUG alone."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""A client may make up any other; it is not to make a new label of it."""
_REQUEST_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

access = logging.getLogger("api.access")
log = logging.getLogger(__name__)


class Observed:
    """The layer around `app`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, and tell of it. An exception goes no further: it was answered and is logged."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, traceparent = _came(scope["headers"])
        answer = _Answer(send, below(traceparent), request_id)
        # Not by context managers: this is on the way of every request, and half as dear so.
        traced, told = CURRENT.set(answer.span), BOUND.set({"request_id": answer.request_id})
        try:
            await self._app(scope, receive, answer.send)
        except Exception:
            log.exception("%s %s broke", scope["method"], template(scope))
        finally:
            answer.over(scope)
            BOUND.reset(told)
            CURRENT.reset(traced)


class _Answer:
    """What is answered, when it began and what it came to."""

    __slots__ = ("_began", "_began_ns", "_first_s", "_send", "_status", "request_id", "span")

    def __init__(self, send: Send, span: Trace, request_id: str | None) -> None:
        self._send = send
        self.span = span
        self.request_id = request_id or span.span_id
        self._status = CLIENT_LEFT
        self._began_ns = time.time_ns() if spans.wanted() else 0
        self._began = time.perf_counter()
        self._first_s: float | None = None

    async def send(self, message: Message) -> None:
        """Pass it on; the head of an answer with the request's id."""
        if message["type"] == "http.response.start":
            self._first_s = time.perf_counter() - self._began
            self._status = message["status"]
            own = (HEADER, self.request_id.encode())
            message["headers"] = [*message.get("headers", ()), own]
        await self._send(message)

    def over(self, scope: Scope) -> None:
        """Nothing more comes: count it, log it, and hand its span out."""
        whole_s = time.perf_counter() - self._began
        route, method = template(scope), scope["method"]
        if method not in METHODS:
            method = "OTHER"
        first_s = whole_s if self._first_s is None else self._first_s
        request_answered(method, route, self._status, first_s)
        level = logging.DEBUG if route in PROBES else logging.INFO
        if access.isEnabledFor(level):
            self._log(level, method, route, whole_s)
        if self._began_ns:
            self._hand_out(method, route)

    def _log(self, level: int, method: str, route: str, whole_s: float) -> None:
        told = {
            "method": method,
            "route": route,
            "status": self._status,
            "duration_ms": round(whole_s * 1000, 2),
        }
        access.log(level, "%s %s %d", method, route, self._status, extra={"fields": told})

    def _hand_out(self, method: str, route: str) -> None:
        told: dict[str, str | int | float] = {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": self._status,
        }
        failed = self._status >= 500
        name = f"{method} {route}"
        spans.record(name, spans.Kind.SERVER, self._began_ns, told, failed=failed)


def template(scope: Scope) -> str:
    """The route's template, which is never the path itself: that may hold a token."""
    route = scope.get("route")
    return route.path if isinstance(route, Route) else NO_ROUTE


def _came(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str | None, str | None]:
    """The request's id and its `traceparent`, where they came and can be believed to be such."""
    request_id = traceparent = None
    for name, value in headers:
        if name == HEADER and _REQUEST_ID.fullmatch(value):
            request_id = value.decode()
        elif name == b"traceparent":
            traceparent = value.decode("latin-1")
    return request_id, traceparent
