"""Probes, and the API's own description."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
from starlette.responses import JSONResponse, Response

from api.operations import Call, answer
from api.schemas import Health
from domain.errors import StorageUnavailable
from infra.postgres.migrations import require_current
from infra.postgres.pool import UNAVAILABLE, SchemaBehind

CHECK_TIMEOUT_S = 3.0
AWAY: tuple[type[Exception], ...] = (StorageUnavailable, asyncpg.PostgresError, *UNAVAILABLE)
"""A probe tells of every failure of a part: refused passwords and lost rights too."""


async def livez(_: Call) -> Response:
    """The process answers."""
    return answer(Health(status="ok"))


async def readyz(call: Call) -> Response:
    """Database, schema and bucket answer; 503 with what is wrong otherwise."""
    services = call.services
    checks = {
        "database": await _check(lambda: require_current(services.pool)),
        "bucket": await _check(services.storage.ping),
    }
    ok = all(result == "ok" for result in checks.values())
    return answer(Health(status="ok" if ok else "unavailable", checks=checks), 200 if ok else 503)


async def _check(probe: Callable[[], Awaitable[None]]) -> str:
    try:
        await asyncio.wait_for(probe(), CHECK_TIMEOUT_S)
    except SchemaBehind as error:
        return str(error)
    except AWAY as error:
        return f"does not answer ({type(error).__name__})"
    return "ok"


async def read_openapi(call: Call) -> Response:
    """This API as OpenAPI 3.1."""
    return JSONResponse(call.request.app.state.openapi)
