"""One HTTP operation: who may call it, what it takes and answers, and what holds it to that."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar
from uuid import UUID, uuid4

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.auth import COOKIE, SAFE_METHODS, Authenticator, Principal, Role
from api.negotiation import best
from api.parameters import Parameter
from api.problems import ApiError
from api.security_rates import Gate
from domain.errors import AccessDenied
from domain.events import Context
from gpu_worker.contract_logs import bind
from infra.bootstrap import Services
from infra.fault_points import reach
from infra.rates import Pace

MAX_BODY_BYTES = 64 * 1024
JSON = "application/json"
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Call:
    """A request that passed its operation's checks."""

    request: Request
    services: Services
    caller: Principal | None
    body: BaseModel | None
    media_type: str
    """What to answer in: of the operation's types, the one that the request likes most."""

    @property
    def principal(self) -> Principal:
        """The caller of an operation that needs one."""
        if self.caller is None:
            raise ApiError(401, "unauthenticated", "This call needs a token.")
        return self.caller

    @property
    def media_id(self) -> UUID:
        """The id in the path. One that is no UUID names nothing, as a missing item does."""
        if (media_id := _media_id(self.request)) is None:
            raise AccessDenied(UUID(int=0))
        return media_id

    @property
    def context(self) -> Context:
        """Who causes what this call appends. The store adds the trace that it goes on with."""
        return Context(actor=f"creator:{self.principal.subject}", correlation_id=uuid4())


Endpoint = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Operation:
    """A row of the route table."""

    method: str
    path: str
    endpoint: Endpoint
    summary: str
    answers: dict[int, type[BaseModel] | None]
    roles: frozenset[Role] = frozenset()
    """Any of these may call; empty: nobody needs to sign in."""
    body: type[BaseModel] | None = None
    query: tuple[Parameter, ...] = ()
    headers: tuple[Parameter, ...] = ()
    """Of the request."""
    returns: tuple[Parameter, ...] = ()
    """Headers of an answer that is no problem."""
    raw_body: type[BaseModel] | None = None
    """What the endpoint itself reads and verifies before it parses it."""
    media_types: tuple[str, ...] = (JSON,)
    """What it answers in, by Accept where there are several."""
    items: dict[str, type[BaseModel]] = field(default_factory=dict)
    """What a stream consists of: by the name of its server-sent event, or `line` for NDJSON."""
    streamed: dict[str, str] | None = None
    """The headers of an answer that is written for as long as it takes: HEAD gets them alone."""
    problems: tuple[str, ...] = ()
    """Codes of problems beside those that follow from the rest of the row."""
    reserved: bool = False
    """Whether it works on the reserved database connections: reports of work that is paid for, and
    the probe that decides whether they reach us."""
    demo: bool = False
    """Whether it is there only with DEMO_SIGN_IN."""
    changes_session: bool = False
    """Whether it changes what the session cookie says, though nobody needs to be signed in."""

    pace: Pace | None = None
    """What limits how often it is called, where that is not simply a read or a change."""

    def route(self, authenticator: Authenticator, gate: Gate) -> Route:
        """The Starlette route that authenticates, authorises, parses, and only then calls."""
        pace = self.pace or self._pace()

        async def serve(request: Request) -> Response:
            if (media_id := _media_id(request)) is not None:
                bind(media_id=media_id)
            caller = await self._authorised(request, authenticator, gate)
            told = await gate.admit(pace, request, caller and caller.subject)
            media_type = self._negotiated(request)
            if self.streamed is not None and request.method == "HEAD":
                return Response(headers=self.streamed, media_type=media_type)
            body = await self._parsed(request)
            call = Call(request, self._services(request), caller, body, media_type)
            response = await self.endpoint(call)
            if self.method not in SAFE_METHODS:
                response.headers.update(told)
            reach("answer", self.endpoint.__name__)
            return response

        return Route(self.path, serve, methods=[self.method], name=self.endpoint.__name__)

    def _services(self, request: Request) -> Services:
        services: Services = request.app.state.services
        return (self.reserved and services.reserved) or services

    def _pace(self) -> Pace:
        if not self.roles:
            return Pace.ANONYMOUS
        return Pace.READS if self.method in SAFE_METHODS else Pace.WRITES

    async def _authorised(
        self, request: Request, authenticator: Authenticator, gate: Gate
    ) -> Principal | None:
        if self.changes_session and COOKIE in request.cookies:
            authenticator.check_origin(request)
        if not self.roles:
            return None
        try:
            caller = await authenticator.principal(request)
        except ApiError as error:
            if error.status == 401:
                await gate.admit(Pace.SIGN_INS, request, None)
            raise
        if not caller.roles & self.roles:
            needed = " or ".join(sorted(self.roles))
            raise ApiError(403, "role_required", f"This call needs the role {needed}.")
        return caller

    def _negotiated(self, request: Request) -> str:
        # Where nobody signs in, players, probes and webhooks call: none is refused for its Accept.
        if not self.roles:
            return self.media_types[0]
        chosen = best(request.headers.get("accept", ""), self.media_types)
        if chosen is None:
            known = " or ".join(self.media_types)
            raise ApiError(406, "not_acceptable", f"This call answers in {known}.")
        return chosen

    async def _parsed(self, request: Request) -> BaseModel | None:
        if self.body is None:
            return None
        kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind != JSON:
            raise ApiError(415, "unsupported_media_type", f"Send the body as {JSON}.")
        return parse(self.body, await limited_body(request, MAX_BODY_BYTES))

    @property
    def codes(self) -> frozenset[str]:
        """Every problem that a call of it can be answered with."""
        found = {"internal_error", "unavailable", "overloaded", "deadline_exceeded"}
        found |= {"rate_limited", *self.problems}
        if self.roles:
            found |= {"unauthenticated", "role_required", "not_acceptable"}
        if self.roles and self.method not in SAFE_METHODS:
            found |= {"foreign_origin"}
        if "{media_id}" in self.path:
            found |= {"access_denied"}
        if self.query or self.headers:
            found |= {"invalid_request"}
        if self.body:
            found |= {"body_incomplete", "body_too_large", "invalid_request"}
            found |= {"unsupported_media_type", "body_timeout"}
        if self.raw_body:
            found |= {"body_incomplete", "body_too_large", "invalid_request", "unauthenticated"}
            found |= {"body_timeout"}
        return frozenset(found)


def _media_id(request: Request) -> UUID | None:
    try:
        return UUID(request.path_params.get("media_id", ""))
    except ValueError:
        return None


def parse(model: type[M], body: bytes) -> M:
    """`body` as a `model`; 422 naming each wrong field otherwise."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        fields = [
            {"field": ".".join(str(part) for part in each["loc"]) or "body", "message": each["msg"]}
            for each in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        named = "; ".join(f"{each['field']}: {each['message']}" for each in fields)
        raise ApiError(422, "invalid_request", named, errors=fields) from None


async def limited_body(request: Request, max_bytes: int) -> bytes:
    """The request's body; 413 as soon as it passes `max_bytes`, without reading the rest."""
    chunks = bytearray()
    async for chunk in request.stream():
        chunks += chunk
        if len(chunks) > max_bytes:
            raise ApiError(413, "body_too_large", f"The body has more than {max_bytes} bytes.")
    return bytes(chunks)


def answer(body: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer with wire names."""
    return Response(body.model_dump_json(by_alias=True), status, headers, media_type=JSON)
