"""Proxies before the servers that the tests run."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from infra.embedded.postgres import SOCKET_NAME
from tests.faults.proxy import Proxy, proxied


@asynccontextmanager
async def proxied_database(dsn: str) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy before the PostgreSQL of `dsn`, a unix socket's; the DSN that leads through it."""
    parts = urlsplit(dsn)
    folder = Path(unquote(parse_qs(parts.query)["host"][0]))
    async with proxied(folder / SOCKET_NAME) as proxy:
        assert isinstance(proxy.address, tuple)
        host, port = proxy.address
        yield proxy, f"postgresql://{parts.username}@{host}:{port}{parts.path}?sslmode=disable"


@asynccontextmanager
async def proxied_url(url: str) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy before the HTTP server of `url`; the URL that leads through it."""
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    async with proxied((parts.hostname, parts.port)) as proxy:
        assert isinstance(proxy.address, tuple)
        yield proxy, parts._replace(netloc=f"{proxy.address[0]}:{proxy.address[1]}").geturl()
