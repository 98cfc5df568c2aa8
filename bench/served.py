"""Servers in processes of their own, as `codex-media serve` starts them."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import httpx

from api.auth import Role
from api.cli.place import mint_token
from infra.embedded.ports import free_port
from infra.settings import load
from tests.infra.variables import ENVIRON

START_TIMEOUT_S = 30.0


def environ_of(dsn: str, **more: str) -> dict[str, str]:
    """The variables of a service on this database; bucket and RunPod are away."""
    return ENVIRON | {"DATABASE_URL": dsn, "LOG_LEVEL": "WARNING", "RATE_LIMITS": "false"} | more


def bearer(environ: Mapping[str, str], creator: str) -> dict[str, str]:
    """The headers of a creator."""
    minted = mint_token(load(environ), creator, [Role.CREATOR], timedelta(hours=1))
    return {"authorization": f"Bearer {minted}"}


class Process:
    """A running server."""

    def __init__(self, port: int, pid: int) -> None:
        self.port = port
        self.pid = pid


@asynccontextmanager
async def server(environ: Mapping[str, str], *program: str) -> AsyncIterator[Process]:
    """`program PORT`, answering, until the end of the block."""
    port = free_port()
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *program, str(port), env={**os.environ, **environ}
    )
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            while not await _answers(port):  # noqa: ASYNC110 - another process's
                await asyncio.sleep(0.05)
        yield Process(port, child.pid)
    finally:
        if child.returncode is None:
            child.terminate()
        await child.wait()


async def _answers(port: int) -> bool:
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=2.0) as http:
            return (await http.get(f"http://127.0.0.1:{port}/livez")).is_success
    except httpx.HTTPError:
        return False


@asynccontextmanager
async def servers(
    count: int, environ: Mapping[str, str], *program: str
) -> AsyncIterator[list[Process]]:
    """So many of them."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(server(environ, *program)) for _ in range(count)]


SERVE = ("api.cli", "serve", "--port")
"""Our own API."""
BARE = ("bench.bare",)
"""The least there can be."""
