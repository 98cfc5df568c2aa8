"""The bundle as a stream of bytes, from one snapshot of the database, in constant memory."""

import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from io import RawIOBase
from typing import TYPE_CHECKING, Any

import asyncpg

from infra.ledger import bundle
from infra.ledger.checkpoint import PublicKey
from infra.postgres.pool import Pool
from infra.postgres.queries import sql

if TYPE_CHECKING:  # asyncpg's classes take no parameters when run
    from asyncpg.pool import PoolConnectionProxy

    Acquired = PoolConnectionProxy[asyncpg.Record]

PAGE = 1000
FIRST_ID = "00000000-0000-0000-0000-000000000000"
COMPRESSION_LEVEL = 1
"""Twice as fast as the default, for a few percent of size."""


class _Outgoing(RawIOBase):
    """What the zip writes, until it is taken. Cannot seek: sizes follow their members."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._chunks.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        taken = b"".join(self._chunks)
        self._chunks.clear()
        return taken


async def export(pool: Pool, key: PublicKey) -> AsyncIterator[bytes]:
    """The bundle's bytes. A stream that ends early leaves no zip that could be opened.

    Holds one connection, and ends with it: the server gives up a reader that stalls for longer
    than `idle_in_transaction_session_timeout`.
    """
    outgoing = _Outgoing()
    with zipfile.ZipFile(outgoing, "w", zipfile.ZIP_DEFLATED, compresslevel=COMPRESSION_LEVEL) as z:
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
                        yield outgoing.take()
    yield outgoing.take()


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
