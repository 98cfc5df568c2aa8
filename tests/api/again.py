"""The tests' service once more, with other settings of what surrounds it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from api.app import create_app
from infra.bootstrap import Services
from tests.api.service import Service, client


@asynccontextmanager
async def surrounded(service: Service, **changed: object) -> AsyncIterator[Service]:
    """An application of its own over what `service` has open, with some settings changed."""
    settings = service.settings.model_copy(update=changed)

    @asynccontextmanager
    async def opened() -> AsyncIterator[Services]:
        yield service.services

    app = create_app(settings, opened())
    async with app.router.lifespan_context(app), client(app, settings) as http:
        yield Service(app, settings, http, service.network)
