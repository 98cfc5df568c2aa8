"""Clients that send a request a byte at a time, or no end of it, over real connections."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from threading import Thread

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from api import security_http
from api.cli.server import configured
from infra.embedded.ports import free_port
from infra.settings import Settings, load
from tests.infra.embedded.processes import eventually
from tests.infra.variables import ENVIRON

PATIENCE_S = 10.0
HEAD = b"GET /who HTTP/1.1\r\nhost: here\r\n"


async def who(request: Request) -> Response:
    """The address that the service takes the client to have."""
    assert request.client is not None
    return JSONResponse({"host": request.client.host, "scheme": request.url.scheme})


async def at_once(_: Request) -> Response:
    """Answers before the body is there."""
    return Response("no", 401)


@asynccontextmanager
async def listening(**changed: object) -> AsyncIterator[int]:
    """A small application as `serve` serves it; the port."""
    settings: Settings = load(ENVIRON).model_copy(update={"log_level": "warning"} | changed)
    app = Starlette(routes=[Route("/who", who), Route("/no", at_once, methods=["POST"])])
    port = free_port()
    server = uvicorn.Server(configured(app, settings, "127.0.0.1", port))
    thread = Thread(target=server.run, name="small")
    thread.start()
    try:
        assert await eventually(lambda: server.started, PATIENCE_S)
        yield port
    finally:
        server.should_exit = True
        await asyncio.to_thread(thread.join, PATIENCE_S)


@pytest.fixture(params=["httptools", "h11"], autouse=True)
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both of uvicorn's parsers: the service's own image has h11 alone."""
    if request.param == "h11":
        monkeypatch.setattr(security_http, "HttpToolsProtocol", None)


async def answered(port: int, *pieces: bytes, pause_s: float = 0.05) -> bytes:
    """What came back until the service hung up; the pieces sent one after the other."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heard = bytearray()

    async def listen() -> None:
        with suppress(ConnectionError):
            while piece := await reader.read(65_536):
                heard.extend(piece)

    async with asyncio.timeout(PATIENCE_S):
        listening_on = asyncio.create_task(listen())
        for piece in pieces:
            if not listening_on.done():
                writer.write(piece)
                await asyncio.sleep(pause_s)
        await listening_on
    writer.close()
    return bytes(heard)


async def test_heads_that_do_not_come_are_not_waited_for() -> None:
    async with listening(head_timeout_s=0.3) as port:
        began = time.monotonic()
        silent = answered(port)
        half = answered(port, HEAD)
        dripping = answered(port, *(HEAD[n : n + 1] for n in range(20)))
        after_one = answered(port, HEAD + b"\r\n", *(HEAD[n : n + 1] for n in range(20)))
        nothing, some, drops, second = await asyncio.gather(silent, half, dripping, after_one)
        took_s = time.monotonic() - began
    assert (nothing, some, drops) == (b"", b"", b"")
    assert second.count(b"HTTP/1.1 200") == 1, "the first was answered, the second never came"
    assert took_s < PATIENCE_S / 2


async def test_a_head_without_end_is_cut_and_a_large_one_is_taken() -> None:
    async with listening(max_header_bytes=8_192) as port:
        cut = await answered(port, HEAD, *([b"x: " + b"y" * 4_000 + b"\r\n"] * 4))
        large = b"x: " + b"y" * 4_000 + b"\r\n"
        taken = await answered(port, HEAD, large + b"connection: close\r\n\r\n")
    assert b"200 OK" not in cut
    assert b"200 OK" in taken


async def test_a_body_nobody_waits_for_does_not_hold_the_connection() -> None:
    head = b"POST /no HTTP/1.1\r\nhost: here\r\ncontent-length: 100\r\n\r\n"
    async with listening(head_timeout_s=0.3) as port:
        began = time.monotonic()
        answer = await answered(port, head, *([b"x"] * 20))
    assert answer.startswith(b"HTTP/1.1 401")
    assert time.monotonic() - began < PATIENCE_S / 2


async def test_only_a_trusted_proxy_says_where_a_request_comes_from() -> None:
    said = HEAD + b"x-forwarded-for: 192.0.2.7\r\nx-forwarded-proto: https\r\n"
    said += b"connection: close\r\n\r\n"
    async with listening() as port:
        believed = await answered(port, said)
    async with listening(trusted_proxies="10.0.0.0/8") as port:
        not_believed = await answered(port, said)
    assert b'{"host":"192.0.2.7","scheme":"https"}' in believed
    assert b'{"host":"127.0.0.1","scheme":"http"}' in not_believed
