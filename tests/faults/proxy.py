"""A proxy that breaks connections on command, between our code and a real server on this machine.

    async with proxied(("127.0.0.1", 5432)) as proxy:
        proxy.arm(Fault(Stage.TO_CLIENT, Action.RESET, after=100))

A fault counts from when it is armed, over all connections: the hundred bytes that the server sends
next arrive, and the one after them breaks its connection. It acts once, unless it is `lasting`.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.faults.connection import Address, Connection, connect
from tests.faults.fault import Action, Fault, Stage

CHUNK = 64 * 1024
CONNECT_LIMIT_S = 5.0


class Proxy:
    """Listens at `address` and passes everything on to `upstream`, but for the fault armed."""

    def __init__(self, upstream: Address, listen: Address) -> None:
        self.upstream = upstream
        self.address = listen
        self.passed: Counter[Stage] = Counter()
        """Connections and bytes that got through."""
        self.fired = asyncio.Event()
        """Set when the fault armed last has acted."""
        self.held = 0
        """How many connections are held now, in one direction or the other."""
        self._fault: Fault | None = None
        self._counted = 0
        self._counting = False
        self._released = asyncio.Event()
        self._listener: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def arm(self, fault: Fault) -> None:
        """Let `fault` happen, instead of any armed before."""
        self._fault, self._counted, self._counting = fault, 0, not fault.once_seen
        self.fired, self._released = asyncio.Event(), asyncio.Event()

    def disarm(self) -> None:
        """No fault any more; what is held goes on, what is broken stays so."""
        self._fault = None
        self.release()

    def release(self) -> None:
        """Let what is held go on."""
        self._released.set()

    async def refuse(self) -> None:
        """Listen no more: connections are refused. Those that are open stay."""
        if self._listener:
            self._listener.close()
            self._listener = None
        if isinstance(self.address, Path):
            self.address.unlink(missing_ok=True)

    async def listen(self) -> None:
        """Accept connections (again), at the same address."""
        if isinstance(self.address, Path):
            self._listener = await asyncio.start_unix_server(self._accept, self.address)
            return
        self._listener = await asyncio.start_server(self._accept, *self.address)
        host, port = self._listener.sockets[0].getsockname()[:2]
        self.address = (host, port)

    async def stop(self) -> None:
        """Refuse, and end every connection."""
        await self.refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        connection = Connection(writer)
        try:
            await self._serve(reader, connection)
        except OSError:
            connection.end(reset=True)  # either side went away, or the server was never there
        except asyncio.CancelledError:
            connection.abandon()  # by `stop`; a callback that ends so would be logged as an error
        finally:
            connection.end(reset=False)
            await connection.ended()
            self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, connection: Connection) -> None:
        await self._pass(Stage.CONNECT, b"\0", connection, None)
        while Stage.CONNECT in connection.swallowed and await reader.read(CHUNK):
            continue
        if connection.swallowed or connection.client.is_closing():
            return
        async with asyncio.timeout(CONNECT_LIMIT_S):
            answers, connection.server = await connect(self.upstream)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pump(Stage.TO_SERVER, reader, connection, connection.server))
            group.create_task(self._pump(Stage.TO_CLIENT, answers, connection, connection.client))

    async def _pump(
        self,
        stage: Stage,
        reader: asyncio.StreamReader,
        connection: Connection,
        writer: asyncio.StreamWriter,
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._pass(stage, data, connection, writer)
            if writer.can_write_eof() and stage not in connection.swallowed:
                writer.write_eof()

    async def _pass(
        self,
        stage: Stage,
        data: bytes,
        connection: Connection,
        writer: asyncio.StreamWriter | None,
    ) -> None:
        """Pass `data` on, as far as the fault lets it."""
        if stage in connection.swallowed:
            return
        fault = self._fault
        clear = self._clear(fault, stage, data)
        await self._write(stage, data[:clear], writer)
        if fault and clear < len(data):
            if not fault.lasting:
                self._fault = None
            self.fired.set()
            await self._act(fault, connection)
            if stage not in connection.swallowed and not connection.client.is_closing():
                await self._write(stage, data[clear:], writer)

    def _clear(self, fault: Fault | None, stage: Stage, data: bytes) -> int:
        """How many bytes of `data` get through before the fault acts."""
        if fault is None:
            return len(data)
        if stage is Stage.TO_SERVER and fault.once_seen and fault.once_seen in data:
            self._counting = True
        if stage is not fault.stage or not self._counting:
            return len(data)
        clear = min(len(data), max(0, fault.after - self._counted))
        self._counted += clear
        return clear

    async def _write(self, stage: Stage, data: bytes, writer: asyncio.StreamWriter | None) -> None:
        self.passed[stage] += len(data)
        if writer and data:
            writer.write(data)
            await writer.drain()

    async def _act(self, fault: Fault, connection: Connection) -> None:
        match fault.action:
            case Action.CLOSE | Action.RESET:
                connection.end(reset=fault.action is Action.RESET)
            case Action.BLACKHOLE:
                connection.swallowed.add(fault.stage)
            case Action.HOLD:
                self.held += 1
                await self._released.wait()
                self.held -= 1
            case Action.DELAY:
                await asyncio.sleep(fault.delay_s)


@asynccontextmanager
async def proxied(upstream: Address, listen: Address = ("127.0.0.1", 0)) -> AsyncIterator[Proxy]:
    """A proxy before `upstream`, on a free port unless told where."""
    proxy = Proxy(upstream, listen)
    await proxy.listen()
    try:
        yield proxy
    finally:
        await proxy.stop()
