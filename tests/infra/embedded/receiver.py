"""A service's webhook endpoint, as the stand-in posts to it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infra.embedded.ports import free_port
from tests.infra.embedded.processes import eventually


class Receiver:
    """Keeps bodies, answers as it is told."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.answers: list[int] = []
        self.url = ""

    async def receive(self, request: Request) -> Response:
        self.bodies.append(await request.json())
        self.headers.append(request.headers)
        return Response(status_code=self.answers.pop(0) if self.answers else 200)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/hook"
        app = Starlette(routes=[Route("/hook", self.receive, methods=["POST"])])
        config = uvicorn.Config(app, port=port, log_level="warning", lifespan="off")
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve())
        assert await eventually(lambda: server.started, 5)
        yield
        server.should_exit = True
        await task
