"""The ASGI application: routes, pages, problems, and the services for as long as it runs."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from functools import cache
from importlib.metadata import version
from typing import Any

from starlette.applications import Starlette

from api import pages
from api.auth import Authenticator
from api.live.hub import open_hub
from api.observed import Observed
from api.openapi import document
from api.operations import Operation
from api.problems import HANDLERS
from api.routes import OPERATIONS
from api.security import secured
from api.security_rates import Gate
from infra.bootstrap import Services
from infra.rates import Rates
from infra.settings import Settings

OFTEN = ("read_status", "play", "worker_webhook")
"""What is asked most is looked for first: routes are tried one after the other, and no other path
is one of theirs."""


def create_app(settings: Settings, services: AbstractAsyncContextManager[Services]) -> Starlette:
    """The application over `services`, which it opens at start-up and closes at shutdown."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with services as opened, open_hub(opened) as hub, aclosing(rates):
            app.state.services = opened
            app.state.hub = hub
            yield

    authenticator, rates = Authenticator(settings), Rates(settings)
    gate = Gate(rates)
    operations, description = offered(demo=settings.demo_sign_in)
    app = Starlette(
        routes=[
            *(operation.route(authenticator, gate) for operation in by_frequency(operations)),
            *pages.routes(settings, description),
        ],
        exception_handlers=HANDLERS,
        lifespan=lifespan,
    )
    app.state.openapi = description
    app.middleware_stack = Observed(secured(app.build_middleware_stack(), settings))
    return app


def by_frequency(operations: tuple[Operation, ...]) -> list[Operation]:
    """Those that are asked often, and then the others as they stand."""
    return sorted(operations, key=lambda each: each.endpoint.__name__ not in OFTEN)


@cache
def offered(*, demo: bool) -> tuple[tuple[Operation, ...], dict[str, Any]]:
    """The operations of a service, and their OpenAPI document: made once, for it takes its time."""
    operations = tuple(each for each in OPERATIONS if demo or not each.demo)
    return operations, document(operations, version("codex-media"))
