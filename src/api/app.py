"""The ASGI application: routes, pages, problems, and the services for as long as it runs."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from importlib.metadata import version

from starlette.applications import Starlette

from api import pages
from api.auth import Authenticator
from api.live.hub import open_hub
from api.observed import Observed
from api.openapi import document
from api.problems import HANDLERS
from api.routes import OPERATIONS
from api.security import secured
from api.security_rates import Gate
from infra.bootstrap import Services
from infra.rates import Rates
from infra.settings import Settings


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
    operations = tuple(each for each in OPERATIONS if settings.demo_sign_in or not each.demo)
    app = Starlette(
        routes=[
            *(operation.route(authenticator, gate) for operation in operations),
            *pages.routes(settings),
        ],
        exception_handlers=HANDLERS,
        lifespan=lifespan,
    )
    app.state.openapi = document(operations, version("codex-media"))
    app.middleware_stack = Observed(secured(app.build_middleware_stack(), settings))
    return app
