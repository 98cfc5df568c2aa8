"""The bundle as a stream of bytes, from one snapshot of the database, in constant memory."""

import asyncio
import os
import tempfile
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from io import RawIOBase
from typing import IO, TYPE_CHECKING, Any

import asyncpg

from infra.ledger import bundle
from infra.ledger.checkpoint import PublicKey
from infra.postgres.pool import Pool
from infra.postgres.queries import sql

if TYPE_CHECKING:  # asyncpg's classes take no parameters when run
    from asyncpg.pool import PoolConnectionProxy

    Acquired = PoolConnectionProxy[asyncpg.Record]

PAGE = 1000
CHUNK = 256 * 1024
FIRST_ID = "00000000-0000-0000-0000-000000000000"
COMPRESSION_LEVEL = 1
"""Twice as fast as the default, for a few percent of size."""


class _Spool(RawIOBase):
    """What the zip writes, in a file, to be read while it grows.

    Cannot seek, so that nothing written is ever changed: sizes follow their members.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._changed = asyncio.Event()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._file.write(data)
        self._file.flush()
        self._changed.set()
        return len(data)

    async def follow(self, writing: "asyncio.Task[None]") -> AsyncIterator[bytes]:
        """All that `writing` writes, until it ends; then its error, if it has one."""
        writing.add_done_callback(lambda _: self._changed.set())
        sent, done = 0, False
        while not done:
            self._changed.clear()
            done = writing.done()
            while chunk := os.pread(self._file.fileno(), CHUNK, sent):
                sent += len(chunk)
                yield chunk
            if not done:
                await self._changed.wait()
        await writing


async def export(pool: Pool, key: PublicKey) -> AsyncIterator[bytes]:
    """The bundle's bytes. A stream that ends early leaves no zip that could be opened.

    A connection is held while the database is read, and no longer: what a slow reader has not taken
    yet waits in an unnamed temporary file.
    """
    with tempfile.TemporaryFile() as file:
        spool = _Spool(file)
        writing = asyncio.create_task(_write(pool, key, spool), name="audit bundle")
        try:
            async for chunk in spool.follow(writing):
                yield chunk
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)  # `follow` tells of its error


async def _write(pool: Pool, key: PublicKey, spool: _Spool) -> None:
    with zipfile.ZipFile(spool, "w", zipfile.ZIP_DEFLATED, compresslevel=COMPRESSION_LEVEL) as z:
        z.writestr(_member(bundle.README), bundle.README_TEXT)
        z.writestr(_member(bundle.KEY), f"{key}\n")
        async with (
            pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            for name, pages in (
                (bundle.CHECKPOINTS, _checkpoints(connection)),
                (bundle.EVENTS, _events(connection)),
                (bundle.LEAVES, _leaves(connection)),
                (bundle.ITEMS, _items(connection)),
            ):
                with z.open(_member(name), "w", force_zip64=True) as member:
                    async for page in pages:
                        member.write(page)


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, datetime.now(UTC).timetuple()[:6])
    member.compress_type = zipfile.ZIP_DEFLATED
    member.external_attr = 0o644 << 16
    return member


async def _checkpoints(connection: "Acquired") -> AsyncIterator[bytes]:
    async for rows in _pages(connection, "checkpoint_page", 0, "size"):
        yield "".join(f"{row['note']}\n" for row in rows).encode()


async def _events(connection: "Acquired") -> AsyncIterator[bytes]:
    seq = 0
    async for rows in _ledger(connection):
        numbered = enumerate(rows, seq + 1)
        seq += len(rows)
        yield b"".join(bundle.Record(n, row["preimage"].encode()).encoded() for n, row in numbered)


async def _leaves(connection: "Acquired") -> AsyncIterator[bytes]:
    async for rows in _ledger(connection):
        yield b"".join(row["hash"] for row in rows)


async def _ledger(connection: "Acquired") -> AsyncIterator[list[asyncpg.Record]]:
    """Sealed events in their order, then those that wait in the order they would get."""
    async for rows in _pages(connection, "sealed_records", 0, "seq"):
        yield rows
    async for rows in _pages(connection, "unsealed_records", 0, "position"):
        yield rows


async def _items(connection: "Acquired") -> AsyncIterator[bytes]:
    async for rows in _pages(connection, "projection_page", FIRST_ID, "id"):
        yield "".join(f"{row['line']}\n" for row in rows).encode()


async def _pages(
    connection: "Acquired", statement: str, after: object, by: str
) -> AsyncIterator[list[asyncpg.Record]]:
    while rows := await connection.fetch(sql(statement), after, PAGE):
        yield rows
        after = rows[-1][by]
