"""A client that reads the first piece of an answer, and the rest only when it is told to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.types import Message


class SlowClient:
    """One GET of `path`."""

    def __init__(self, path: str, headers: dict[str, str]) -> None:
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        self.status = 0
        self.body = b""
        self.started = asyncio.Event()
        """The first piece is there."""
        self.go_on = asyncio.Event()
        """Set it to read the rest."""

    async def _receive(self) -> Message:
        if self.started.is_set():
            await asyncio.Event().wait()
        return {"type": "http.request", "body": b"", "more_body": False}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            return
        self.body += message["body"]
        self.started.set()
        await self.go_on.wait()

    async def read(self, app: Starlette) -> bytes:
        """The whole answer's body."""
        await app(self._scope, self._receive, self._send)
        return self.body


@asynccontextmanager
async def reading(
    app: Starlette, path: str, headers: dict[str, str], count: int
) -> AsyncIterator[list[SlowClient]]:
    """So many clients that have begun to read. At the end of the block they read on."""
    clients = [SlowClient(path, headers) for _ in range(count)]
    tasks = [asyncio.create_task(client.read(app)) for client in clients]
    await asyncio.gather(*(client.started.wait() for client in clients))
    yield clients
    for client in clients:
        client.go_on.set()
    await asyncio.gather(*tasks)
