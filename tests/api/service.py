"""The application as clients meet it, over ASGI, with its real parts behind it."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
from starlette.applications import Starlette

from api.app import create_app
from api.operations import Operation
from api.problem_codes import CATALOGUE, type_of
from api.routes import OPERATIONS
from infra.bootstrap import Services, open_services
from infra.settings import Settings

PROBLEM = "application/problem+json"
REQUEST_ID = "test"
"""Of every call that names none: answers that are alike are equal then, byte by byte."""
PROBES = {"/readyz"}
"""What answers 503 with a report of its own instead of a problem."""


@dataclass(frozen=True, slots=True)
class Service:
    """A started application."""

    app: Starlette
    settings: Settings
    http: httpx.AsyncClient
    """Calls the application. Fails the test for an error that is no problem details."""
    network: httpx.AsyncClient
    """Calls everything else: the bucket, RunPod."""

    @property
    def services(self) -> Services:
        """What the lifespan opened."""
        services: Services = self.app.state.services
        return services


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Service]:
    """The application on `settings`, from its start-up to its shutdown."""
    app = create_app(settings, open_services(settings))
    async with (
        app.router.lifespan_context(app),
        client(app, settings) as http,
        httpx.AsyncClient(trust_env=False, timeout=10.0) as network,
    ):
        yield Service(app, settings, http, network)


def client(app: Starlette, settings: Settings) -> httpx.AsyncClient:
    """A client of `app` under its public address."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app, raise_app_exceptions=False),
        base_url=settings.public_app_url,
        headers={"x-request-id": REQUEST_ID},
        event_hooks={"response": [expect_problem, expect_described]},
    )


async def expect_problem(response: httpx.Response) -> None:
    """Every error is an RFC 9457 problem, whatever the test that caused it looks at."""
    if not response.is_error or response.request.url.path in PROBES:
        return
    await response.aread()
    assert response.headers["content-type"] == PROBLEM, response.text
    body = response.json()
    kind = CATALOGUE[body["code"]]
    assert body["type"] == type_of(body["code"])
    assert body["status"] == response.status_code == kind.status
    assert body["title"]
    assert body["detail"]
    assert body["requestId"] == response.headers["x-request-id"]


_ROUTES = [
    (
        operation,
        re.compile(re.sub(r"\{\w+\}", "[^/]+", operation.path.replace("{path:path}", ".+"))),
    )
    for operation in OPERATIONS
]
METHODS = {"HEAD": "GET"}
"""What is described by another's name."""


async def expect_described(response: httpx.Response) -> None:
    """Every status and code is one that the route table promises for the operation."""
    request = response.request
    method = METHODS.get(request.method, request.method)
    for operation, path in _ROUTES:
        if operation.method == method and path.fullmatch(request.url.path):
            await expect_promised(operation, response)
            return
    assert response.status_code in {204, 404, 405} or not request.url.path.startswith("/api")


async def expect_promised(operation: Operation, response: httpx.Response) -> None:
    """One of the operation's answers, with its headers; or one of its problems."""
    if response.status_code in operation.answers:
        missing = {each.name for each in operation.returns if each.name not in response.headers}
        assert not missing, (operation.method, operation.path, missing)
        return
    if response.request.method != "HEAD":
        code = json.loads(await response.aread())["code"]
        assert code in operation.codes, (operation.method, operation.path, code)
