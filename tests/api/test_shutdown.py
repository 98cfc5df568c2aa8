"""F31: SIGTERM to a real `codex-media serve` while requests are under way."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

import asyncpg
import httpx
import pytest

from api.auth import Role
from api.cli.place import mint_token
from api.cli.server import DRAIN_S
from infra.embedded.ports import free_port
from infra.postgres.pool import CLOSE_TIMEOUT_S
from infra.settings import load
from tests.api.studio import VIDEO
from tests.faults.fault import Action, Fault, Stage
from tests.faults.proxy import Proxy
from tests.faults.ways import proxied_database
from tests.infra.embedded.processes import eventually
from tests.processes import Program, codex_media

PATIENCE_S = 60.0
ENDS_WITHIN_S = DRAIN_S + 2 * CLOSE_TIMEOUT_S + 20.0
"""Both pools close in their time; the rest is for a machine that has other things to do."""
REGISTERING = Fault(Stage.TO_CLIENT, Action.HOLD, once_seen=b"media.registered")
"""What is registered has happened, and the database's answer is on its way."""


class Served(NamedTuple):
    """A service that listens."""

    program: Program
    http: httpx.AsyncClient
    proxy: Proxy

    async def listens(self) -> bool:
        """Whether it accepts a connection."""
        try:
            async with httpx.AsyncClient(base_url=self.http.base_url, trust_env=False) as fresh:
                return (await fresh.get("/livez")).is_success
        except httpx.ConnectError:
            return False

    async def refuses(self) -> bool:
        """Whether it accepts none any more. Asked quickly: a drain does not last long."""
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.http.base_url.port)
        except ConnectionRefusedError:
            return True
        writer.close()
        return False


@asynccontextmanager
async def serving(environ: dict[str, str], dsn: str) -> AsyncIterator[Served]:
    """`codex-media serve` in its own process, which reaches the database through a proxy."""
    port = free_port()
    minted = mint_token(load(environ), "alice", [Role.CREATOR], timedelta(minutes=5))
    async with (
        proxied_database(dsn) as (proxy, through),
        codex_media(environ | {"DATABASE_URL": through}, "serve", "--port", str(port)) as program,
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}",
            headers={"authorization": f"Bearer {minted}"},
            timeout=PATIENCE_S,
            trust_env=False,
        ) as http,
    ):
        served = Served(program, http, proxy)
        assert await eventually(served.listens, PATIENCE_S)
        assert (await http.get("/readyz")).status_code == 200
        yield served


async def registering(served: Served) -> "asyncio.Task[httpx.Response]":
    """A registration that is under way: done in the database, not answered."""
    served.proxy.arm(REGISTERING)
    call = asyncio.create_task(served.http.post("/api/media", json=VIDEO.request()))
    await asyncio.wait_for(served.proxy.fired.wait(), PATIENCE_S)
    return call


async def registered(dsn: str) -> list[UUID]:
    """The items that the database has."""
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch("SELECT id FROM media_items")
    await connection.close()
    return [row["id"] for row in rows]


async def test_f31_request_under_way_is_answered_and_what_was_answered_is_kept(
    environ: dict[str, str], dsn: str
) -> None:
    async with serving(environ, dsn) as served:
        call = await registering(served)
        served.program.process.send_signal(signal.SIGTERM)
        assert await eventually(served.refuses, DRAIN_S)
        assert not call.done()
        served.proxy.release()
        answer = await call
        ended = await served.program.end(ENDS_WITHIN_S)
    assert answer.status_code == 201
    assert await registered(dsn) == [UUID(answer.json()["media"]["id"])]
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("signals", [1, 2], ids=["once", "and again"])
async def test_f31_request_that_cannot_end_is_given_up_and_the_process_ends(
    environ: dict[str, str], dsn: str, signals: int
) -> None:
    async with serving(environ, dsn) as served:
        call = await registering(served)
        for _ in range(signals):
            served.program.process.send_signal(signal.SIGTERM)
            assert await eventually(served.refuses, PATIENCE_S)
        await served.program.end(ENDS_WITHIN_S)
        try:
            status = (await call).status_code
        except httpx.HTTPError:
            status = 0
    # It did happen; whoever was told nothing asks again with his Idempotency-Key.
    assert status in {0, 500, 503}
    assert len(await registered(dsn)) == 1
