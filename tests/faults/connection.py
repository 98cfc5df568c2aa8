"""The two sockets between which a proxy stands."""

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.fault import Stage

Address = tuple[str, int] | Path
"""Host and port, or the path of a unix socket."""


@dataclass(eq=False)
class Connection:
    """A client's connection, and ours to the server for it."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter | None = None
    swallowed: set[Stage] = field(default_factory=set)

    def end(self, *, reset: bool) -> None:
        """Say goodbye to both; with `reset`, cut the client off instead."""
        if reset and not self.client.is_closing():
            found = self.client.get_extra_info("socket")
            if found.family != socket.AF_UNIX:
                found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.client.transport.abort()
        self.client.close()
        if self.server:
            self.server.close()

    async def ended(self) -> None:
        """Wait until both sockets are closed."""
        for writer in filter(None, (self.client, self.server)):
            with suppress(OSError):
                await writer.wait_closed()

    def abandon(self) -> None:
        """Close both, whatever waits to be sent."""
        for writer in filter(None, (self.client, self.server)):
            writer.transport.abort()


async def connect(upstream: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to what listens at `upstream`."""
    if isinstance(upstream, Path):
        return await asyncio.open_unix_connection(upstream)
    return await asyncio.open_connection(*upstream)
