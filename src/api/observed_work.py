"""What `work` answers over HTTP, where `METRICS_PORT` says so: `/metrics` and `/livez`."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from infra.figures.exposition import CONTENT_TYPE, of_process
from infra.loops import Pulse
from infra.settings import Settings

LIMIT_S = 2
"""For answers under way when the process ends."""


def create_work_app(pulse: Pulse) -> Starlette:
    """The two answers. The database's figures are those of `serve`, and not told twice."""

    async def livez(_: Request) -> Response:
        """503 when a loop is stuck."""
        if stuck := pulse.stuck():
            return PlainTextResponse(f"stuck: {', '.join(stuck)}", 503)
        return PlainTextResponse("ok")

    async def metrics(_: Request) -> Response:
        """What this process counted."""
        return Response(of_process(), headers={"content-type": CONTENT_TYPE})

    return Starlette(routes=[Route("/livez", livez), Route("/metrics", metrics)])


class _Beside(uvicorn.Server):
    """A server that leaves signals to the program it stands beside."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None are."""
        yield


@asynccontextmanager
async def answering(settings: Settings, pulse: Pulse) -> AsyncIterator[None]:
    """Answer until the end of the block; nothing where no port is set.

    The process ends, and says why, where the port cannot be had.
    """
    if settings.metrics_port is None:
        yield
        return
    config = uvicorn.Config(
        create_work_app(pulse),
        host=settings.metrics_host,
        port=settings.metrics_port,
        access_log=False,
        log_config=None,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=LIMIT_S,
    )
    server = _Beside(config)
    serving = asyncio.create_task(server.serve(), name="metrics")
    try:
        yield
    finally:
        server.should_exit = True
        await serving
