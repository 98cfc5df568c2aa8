"""What surrounds every request: headers for browsers, other sites' pages, and limits of time.

Plain ASGI: nothing is buffered, and what an event stream sends goes out at once.
"""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import ApiError, problem
from infra.settings import Settings

HSTS_S = 63_072_000
PREFLIGHT_S = 600
METHODS = ("GET", "POST", "DELETE")
SENT = (
    "Authorization",
    "Idempotency-Key",
    "If-None-Match",
    "Last-Event-ID",
    "traceparent",
    "X-Request-ID",
)
"""Request headers of ours beside those that any page may send."""
EXPOSED = ("ETag", "Location", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-ID")
WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})
BUSY_RETRY_S = "1"

HEADERS = (
    # Nothing that the API answers is a document; the console's pages bring a policy of their own.
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    # What is answered to one caller is nobody else's; what may be kept says so itself.
    (b"cache-control", b"no-store"),
)
"""What an answer carries that does not say otherwise."""

Pair = tuple[bytes, bytes]


def secured(app: ASGIApp, settings: Settings) -> ASGIApp:
    """`app` with all of it around, also around its answers to bugs."""
    inner: ASGIApp = RequestLimits(app, settings)
    if settings.allowed_origins:
        inner = CORSMiddleware(
            inner,
            allow_origins=settings.allowed_origins,
            allow_methods=METHODS,
            allow_headers=SENT,
            allow_credentials=True,
            expose_headers=EXPOSED,
            max_age=PREFLIGHT_S,
        )
    return SecureHeaders(inner, settings)


class SecureHeaders:
    """Adds what is missing of `HEADERS`; over HTTPS also that it stays so (RFC 6797)."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._headers: tuple[Pair, ...] = HEADERS
        if settings.public_app_url.startswith("https:"):
            self._headers += ((b"strict-transport-security", b"max-age=%d" % HSTS_S),)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = message["headers"]
                names = {name for name, _ in given}
                missing = [pair for pair in self._headers if pair[0] not in names]
                message["headers"] = [*given, *missing]
            await send(message)

        await self._app(scope, receive, with_headers)


class RequestLimits:
    """So many requests wait for an answer at once, and each so long.

    Time counts until an answer begins: event streams, exports and bundles begin at once and then
    go on. A body has a time of its own.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._most = settings.requests_per_process
        self._body_s = settings.body_timeout_s
        self._waiting = Waiting(settings.request_timeout_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 503."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif len(self._waiting) >= self._most:
            detail = "This process has as many requests as it takes. Try again."
            await _unavailable("overloaded", detail)(scope, receive, send)
        else:
            await self._in_time(scope, receive, send)

    async def _in_time(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def begin(message: Message) -> None:
            self._waiting.leave(task)
            await send(message)

        if scope["method"] in WITH_BODY:
            receive = body_in_time(receive, self._body_s)
        task = self._waiting.enter()
        try:
            await self._app(scope, receive, begin)
        except asyncio.CancelledError:
            if not self._waiting.was_overdue(task):
                raise
            detail = "This took longer than a request may. It may have happened: look first."
            await _unavailable("deadline_exceeded", detail)(scope, receive, send)
        finally:
            self._waiting.leave(task)


Task = asyncio.Task[object]


class Waiting:
    """Requests without an answer yet; each is cancelled after `limit_s` seconds, or a little later.

    One timer looks after all of them: one for each would cost more than all else here.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._look_s = min(1.0, limit_s / 4)
        self._since: dict[Task, float] = {}
        """In the order in which they came, and so of their deadlines."""
        self._overdue: set[Task] = set()
        self._looking = False

    def __len__(self) -> int:
        return len(self._since)

    def enter(self) -> Task:
        """The running task waits from now on."""
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None  # noqa: S101 - a request is served by one
        self._since[task] = loop.time()
        if not self._looking:
            self._looking = True
            loop.call_later(self._look_s, self._look, loop)
        return task

    def leave(self, task: Task) -> None:
        """It has its answer, or has gone."""
        self._since.pop(task, None)

    def was_overdue(self, task: Task) -> bool:
        """Whether it was cancelled from here; it goes on then."""
        if task not in self._overdue:
            return False
        self._overdue.discard(task)
        task.uncancel()
        return True

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        latest = loop.time() - self._limit_s
        for task in [task for task, since in self._since.items() if since <= latest]:
            self.leave(task)
            self._overdue.add(task)
            task.cancel()
        self._looking = bool(self._since)
        if self._looking:
            loop.call_later(self._look_s, self._look, loop)


def _unavailable(code: str, detail: str) -> ASGIApp:
    return problem(503, code, detail, {"retry-after": BUSY_RETRY_S})


def body_in_time(receive: Receive, limit_s: float) -> Callable[[], Awaitable[Message]]:
    """`receive`, which raises a 408 when a body is not whole after `limit_s` seconds."""
    ends = asyncio.get_running_loop().time() + limit_s
    whole = False

    async def receive_in_time() -> Message:
        nonlocal whole
        if whole:
            return await receive()
        try:
            async with asyncio.timeout_at(ends):
                message = await receive()
        except TimeoutError:
            detail = f"The body was not here whole after {limit_s:g} seconds."
            raise ApiError(408, "body_timeout", detail) from None
        whole = not message.get("more_body", False)
        return message

    return receive_in_time
