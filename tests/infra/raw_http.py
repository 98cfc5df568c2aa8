"""A real HTTP server that answers whatever a test wants, also what no server should."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus


@dataclass
class RawServer:
    """Answers every request with `answer`, a byte each `drip_s` seconds if that is set.

    With an answer of None it never answers.
    """

    answer: bytes | None
    drip_s: float = 0
    url: str = ""
    requests: list[tuple[str, bytes]] = field(default_factory=list)
    """(head, body) as received."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.requests.append((head, await reader.readexactly(_content_length(head))))
            await self._answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client went away, as it may
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.answer is None:
            await reader.read()
            return
        step = 1 if self.drip_s else len(self.answer)
        for place in range(0, len(self.answer), step or 1):
            writer.write(self.answer[place : place + step])
            await writer.drain()
            await asyncio.sleep(self.drip_s)


def http_answer(status: int, body: bytes = b"", *headers: str) -> bytes:
    """A whole answer."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "Connection: close", *headers, "", ""]).encode() + body


def _content_length(head: str) -> int:
    for line in head.splitlines():
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            return int(value)
    return 0


@asynccontextmanager
async def raw_server(answer: bytes | None, drip_s: float = 0) -> AsyncIterator[RawServer]:
    """Serve on a free port of this machine."""
    raw = RawServer(answer, drip_s)
    server = await asyncio.start_server(raw.serve, "127.0.0.1", 0)
    raw.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield raw
