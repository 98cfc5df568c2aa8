"""The proxy does what the tests that use it rely on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import asyncpg
import pytest

from tests.faults import connection
from tests.faults.connection import Address
from tests.faults.fault import Action, Fault, Stage
from tests.faults.proxy import Proxy, proxied
from tests.faults.ways import proxied_database
from tests.infra.embedded.processes import eventually

LIMIT_S = 10.0
QUIET_S = 0.1
BROKEN = (ConnectionError, asyncio.IncompleteReadError)


class Echo:
    """A server that answers every byte in upper case, and keeps what it got."""

    def __init__(self) -> None:
        self.got = b""
        self.ends = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            self.got += data
            writer.write(data.upper())
        self.ends += 1
        writer.close()


class Line(NamedTuple):
    """A client's connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, data: bytes) -> bytes:
        """As many bytes back as are sent."""
        self.writer.write(data)
        async with asyncio.timeout(LIMIT_S):
            return await self.reader.readexactly(len(data))


async def connect(address: Address) -> Line:
    return Line(*await connection.connect(address))


@asynccontextmanager
async def echoing() -> AsyncIterator[tuple[Echo, Proxy, Line]]:
    """A server, a proxy before it, and a client's connection through that."""
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    async with server, proxied(server.sockets[0].getsockname()[:2]) as proxy:
        line = await connect(proxy.address)
        assert await line.ask(b"hello") == b"HELLO"
        yield echo, proxy, line
        line.writer.close()


async def until(echo: Echo, got: bytes) -> None:
    """Wait for the server to have got exactly this."""
    assert await eventually(lambda: echo.got == got, LIMIT_S), echo.got


async def test_everything_passes_where_nothing_is_armed() -> None:
    async with echoing() as (_, proxy, line):
        big = b"x" * 1_000_000
        assert await line.ask(big) == big.upper()
        line.writer.write_eof()
        assert await line.reader.read() == b""
    sent = len(big) + len(b"hello")
    assert proxy.passed == {Stage.CONNECT: 1, Stage.TO_SERVER: sent, Stage.TO_CLIENT: sent}


@pytest.mark.parametrize("action", [Action.CLOSE, Action.RESET])
async def test_request_is_cut_after_its_bytes(action: Action) -> None:
    async with echoing() as (echo, proxy, line):
        proxy.arm(Fault(Stage.TO_SERVER, action, after=3))
        with pytest.raises(BROKEN) as broken:
            await line.ask(b"abcdef")
        assert (type(broken.value) is ConnectionResetError) == (action is Action.RESET)
        assert proxy.fired.is_set()
        await until(echo, b"helloabc")
        again = await connect(proxy.address)
        assert await again.ask(b"abcdef") == b"ABCDEF"
        again.writer.close()


@pytest.mark.parametrize("after", [0, 3])
async def test_answer_is_cut_though_the_request_got_through(after: int) -> None:
    async with echoing() as (echo, proxy, line):
        proxy.arm(Fault(Stage.TO_CLIENT, Action.CLOSE, after))
        with pytest.raises(asyncio.IncompleteReadError) as broken:
            await line.ask(b"abcdef")
        assert broken.value.partial == b"ABCDEF"[:after]
        assert echo.got == b"helloabcdef"


@pytest.mark.parametrize("stage", [Stage.TO_SERVER, Stage.TO_CLIENT])
async def test_what_a_black_hole_swallows_leaves_the_connection_open(stage: Stage) -> None:
    async with echoing() as (echo, proxy, line):
        proxy.arm(Fault(stage, Action.BLACKHOLE, after=2))
        line.writer.write(b"abcdef")
        await asyncio.wait_for(proxy.fired.wait(), LIMIT_S)
        line.writer.write(b"ghi")
        assert await line.reader.readexactly(2) == b"AB"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(line.reader.read(1), QUIET_S)
        await until(echo, b"helloab" if stage is Stage.TO_SERVER else b"helloabcdefghi")
        assert echo.ends == 0


async def test_what_is_held_goes_on_when_it_is_released() -> None:
    async with echoing() as (echo, proxy, line):
        proxy.arm(Fault(Stage.TO_SERVER, Action.HOLD, after=2))
        answer = asyncio.create_task(line.ask(b"abcdef"))
        await asyncio.wait_for(proxy.fired.wait(), LIMIT_S)
        await until(echo, b"helloab")
        assert not answer.done()
        proxy.release()
        assert await answer == b"ABCDEF"


async def test_delay_keeps_every_piece_back_and_loses_none() -> None:
    async with echoing() as (_, proxy, line):
        proxy.arm(Fault(Stage.TO_CLIENT, Action.DELAY, lasting=True, delay_s=QUIET_S))
        for piece in (b"abc", b"def"):
            before = asyncio.get_running_loop().time()
            assert await line.ask(piece) == piece.upper()
            assert asyncio.get_running_loop().time() - before >= QUIET_S * 0.9


async def test_counting_begins_where_the_client_sends_the_word() -> None:
    async with echoing() as (echo, proxy, line):
        proxy.arm(Fault(Stage.TO_SERVER, Action.CLOSE, after=4, once_seen=b"word"))
        assert await line.ask(b"abcdef") == b"ABCDEF"
        with pytest.raises(BROKEN):
            await line.ask(b"a word more")
        await until(echo, b"helloabcdefa wo")


async def test_answers_count_from_the_word_too() -> None:
    async with echoing() as (_, proxy, line):
        proxy.arm(Fault(Stage.TO_CLIENT, Action.CLOSE, after=4, once_seen=b"word"))
        assert await line.ask(b"abcdef") == b"ABCDEF"
        with pytest.raises(asyncio.IncompleteReadError) as broken:
            await line.ask(b"a word more")
        assert broken.value.partial == b"A WO"


@pytest.mark.parametrize("action", [Action.CLOSE, Action.RESET, Action.BLACKHOLE])
async def test_one_connection_of_several_meets_its_end(action: Action) -> None:
    async with echoing() as (_, proxy, line):
        proxy.arm(Fault(Stage.CONNECT, action, after=1))
        lines = [line, await connect(proxy.address)]
        assert await lines[1].ask(b"abc") == b"ABC"
        lines += [await connect(proxy.address), await connect(proxy.address)]
        with pytest.raises((TimeoutError, *BROKEN)) as broken:
            await asyncio.wait_for(lines[2].ask(b"abc"), QUIET_S)
        assert (type(broken.value) is TimeoutError) == (action is Action.BLACKHOLE)
        assert [await each.ask(b"abc") for each in (line, lines[1], lines[3])] == [b"ABC"] * 3
        for each in lines:
            each.writer.close()


async def test_refused_connections_are_accepted_again() -> None:
    async with echoing() as (_, proxy, line):
        await proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await connect(proxy.address)
        assert await line.ask(b"abc") == b"ABC"
        await proxy.listen()
        again = await connect(proxy.address)
        assert await again.ask(b"abc") == b"ABC"
        again.writer.close()


async def test_a_server_that_is_not_there_ends_the_connection() -> None:
    with TemporaryDirectory() as folder:
        async with proxied(Path(folder, "nobody")) as proxy:
            line = await connect(proxy.address)
            with pytest.raises(BROKEN):
                await line.ask(b"abc")
            line.writer.close()


async def test_unix_sockets_serve_on_both_sides() -> None:
    echo = Echo()
    with TemporaryDirectory() as folder:
        upstream, path = Path(folder, "up"), Path(folder, "way")
        server = await asyncio.start_unix_server(echo.serve, upstream)
        async with server, proxied(upstream, path) as proxy:
            line = await connect(proxy.address)
            assert await line.ask(b"abc") == b"ABC"
            proxy.arm(Fault(Stage.TO_SERVER, Action.RESET))
            with pytest.raises(BROKEN):
                await line.ask(b"abc")
            await proxy.refuse()
            with pytest.raises(FileNotFoundError):
                await connect(path)
            line.writer.close()


async def test_database_is_reached_over_tcp(dsn: str) -> None:
    async with proxied_database(dsn) as (proxy, through):
        session = await asyncpg.connect(through)
        assert await session.fetchval("SELECT 1") == 1
        proxy.arm(Fault(Stage.TO_CLIENT, Action.RESET))
        with pytest.raises((asyncpg.PostgresConnectionError, ConnectionError)):
            await session.fetchval("SELECT 2")
