"""The bundle as a stream of bytes, from one snapshot of the database, in constant memory."""

import asyncio
import os
import tempfile
import zipfile
from array import array
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from io import RawIOBase
from typing import IO, TYPE_CHECKING, Any
from uuid import UUID

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
FIRST_ID, LAST_ID = UUID(int=0), UUID(int=2**128 - 1)


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


async def export(
    pool: Pool, key: PublicKey, part_bytes: int = bundle.PART_BYTES
) -> AsyncIterator[bytes]:
    """The bundle's bytes. A stream that ends early leaves no zip that could be opened.

    A connection is held while the database is read, and no longer: what a slow reader has not taken
    yet waits in an unnamed temporary file.
    """
    with tempfile.TemporaryFile() as file:
        spool = _Spool(file)
        writing = asyncio.create_task(_write(pool, key, part_bytes, spool), name="audit bundle")
        try:
            async for chunk in spool.follow(writing):
                yield chunk
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)  # `follow` tells of its error


async def _write(pool: Pool, key: PublicKey, part_bytes: int, spool: _Spool) -> None:
    with zipfile.ZipFile(spool, "w") as z:
        z.writestr(_info(bundle.README), bundle.README_TEXT)
        z.writestr(_info(bundle.FORM_NAME), bundle.FORM)
        z.writestr(_info(bundle.KEY), f"{key}\n")
        async with (
            pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            with z.open(_info(bundle.CHECKPOINTS), "w", force_zip64=True) as member:
                async for page in _checkpoints(connection):
                    member.write(page)
            number, first = 1, 0
            async for last, records in _parts(connection, part_bytes):
                with z.open(_info(bundle.events_of(number)), "w", force_zip64=True) as member:
                    member.write(records)
                with z.open(_info(bundle.items_of(number)), "w", force_zip64=True) as member:
                    async for page in _items(connection, first, last):
                        member.write(page)
                with z.open(_info(bundle.personal_of(number)), "w", force_zip64=True) as member:
                    async for page in _personal(connection, first, last):
                        member.write(page)
                number, first = number + 1, last.int + 1
            # Hashes cannot be deflated, and a verifier looks them up where they stand.
            with z.open(_info(bundle.LEAVES, zipfile.ZIP_STORED), "w", force_zip64=True) as member:
                async for page in _leaves(connection):
                    member.write(page)


def _info(name: str, method: int = zipfile.ZIP_DEFLATED) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, datetime.now(UTC).timetuple()[:6])
    member.compress_type = method
    member.external_attr = 0o644 << 16
    return member


async def _pages(
    connection: "Acquired", statement: str, after: object, by: str
) -> AsyncIterator[list[asyncpg.Record]]:
    while rows := await connection.fetch(sql(statement), after, PAGE):
        yield rows
        after = rows[-1][by]


async def _checkpoints(connection: "Acquired") -> AsyncIterator[bytes]:
    async for rows in _pages(connection, "checkpoint_page", 0, "size"):
        yield "".join(f"{row['note']}\n" for row in rows).encode()


async def _parts(connection: "Acquired", size: int) -> AsyncIterator[tuple[UUID, bytes]]:
    """The records of whole streams, at least `size` bytes of them, and the last id they are for."""
    place = await _numbering(connection)
    part: list[bytes] = []
    last, written = FIRST_ID, 0
    async for rows in _stream_pages(connection):
        for row in rows:
            if row["stream_id"] != last and written >= size:
                yield last, b"".join(part)
                part, written = [], 0
            last = row["stream_id"]
            part.append(bundle.Record(place(row), row["preimage"].encode()).encoded())
            written += len(part[-1])
    yield LAST_ID, b"".join(part)


async def _stream_pages(connection: "Acquired") -> AsyncIterator[list[asyncpg.Record]]:
    after: tuple[UUID, int] = FIRST_ID, 0
    while rows := await connection.fetch(sql("stream_records"), *after, PAGE):
        yield rows
        after = rows[-1]["stream_id"], rows[-1]["version"]


async def _numbering(connection: "Acquired") -> Callable[[asyncpg.Record], int]:
    """The places of events. Those that wait for one stand at the end, in the order they wait in."""
    size: int = await connection.fetchval(sql("ledger_size"))
    waiting = array("q")  # eight bytes each: as good as nothing, even if nobody seals for a day
    async for rows in _pages(connection, "unsealed_hashes", 0, "position"):
        waiting.extend(row["position"] for row in rows)
    return lambda row: row["seq"] or size + 1 + bisect_left(waiting, row["position"])


async def _leaves(connection: "Acquired") -> AsyncIterator[bytes]:
    for statement, by in (("sealed_hashes", "seq"), ("unsealed_hashes", "position")):
        async for rows in _pages(connection, statement, 0, by):
            yield b"".join(row["hash"] for row in rows)


async def _items(connection: "Acquired", first: int, last: UUID) -> AsyncIterator[bytes]:
    while first <= last.int:
        rows = await connection.fetch(sql("projection_page"), UUID(int=first), last, PAGE)
        yield "".join(f"{row['line']}\n" for row in rows).encode()
        first = rows[-1]["id"].int + 1 if rows else last.int + 1


async def _personal(connection: "Acquired", first: int, last: UUID) -> AsyncIterator[bytes]:
    after: tuple[UUID, int] = UUID(int=first), 0
    while rows := await connection.fetch(sql("personal_page"), *after, last, PAGE):
        lines = (f"{r['stream_id']} {r['version']} {r['salt']} {r['fields']}\n" for r in rows)
        yield "".join(lines).encode()
        after = rows[-1]["stream_id"], rows[-1]["version"]
