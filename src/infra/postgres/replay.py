"""The projection against the history: rebuilt beside the live table, compared, and mended.

Streams are taken some at a time, so that memory stays flat. Each comparison is one statement,
which sees one state of events and rows: appends meanwhile make no false difference.
"""

import json
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

import asyncpg

from infra.figures.process import Invariant, violated
from infra.postgres.pool import CONNECT_TIMEOUT_S, Pool, SchemaBehind
from infra.postgres.queries import sql

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

SPAN_STREAMS = 2_000
"""With more, the server sorts and joins more at a time, and is hardly faster for it."""
SPAN_PAGES = 32
"""Of the table of streams, some 80 on each. Streams that lie together there were moved at about the
same time, so their events lie together too: by ids each would be read from a page of its own."""
STATEMENT_LIMIT_S = 300.0
LOCK_LIMIT_S = 30
FIRST, LAST = UUID(int=0), UUID(int=2**128 - 1)
_LOCK = 0x7265706C6179
"""Key of the advisory lock under which one replay runs at a time."""

CHECK_STREAMS = 500
CHECK_RECENT_EVENTS = 200
KEPT_CHECKS = 1000
TOLD_DIFFERENCES = 20

log = logging.getLogger(__name__)


class ReplayRunning(Exception):
    """Another replay works on the same database."""

    code = "replay_running"

    def __init__(self) -> None:
        super().__init__("Another replay runs on this database. Wait for it, then start again.")


class ReplayForbidden(Exception):
    """The role in DATABASE_URL may not make tables or change the projection."""

    code = "replay_forbidden"

    def __init__(self, reason: str) -> None:
        super().__init__(f"Run replay as the role that runs the migrations: {reason}.")


class Difference(NamedTuple):
    """A row that is not what its events make of it, as JSON objects by column."""

    media_id: UUID
    kept: dict[str, object] | None
    """None: the row is missing."""
    folded: dict[str, object] | None
    """None: no event speaks of the item."""

    def columns(self) -> list[tuple[str, object, object]]:
        """Each column that differs: its name, what is kept, what the events make."""
        kept, folded = self.kept or {}, self.folded or {}
        return [
            (name, kept.get(name), folded.get(name))
            for name in {**kept, **folded}
            if kept.get(name) != folded.get(name)
        ]


class Span(NamedTuple):
    """The ids from `first` to `last`, in which `streams` streams were when it was cut."""

    first: UUID
    last: UUID
    streams: int


Tell = Callable[[Span, Sequence[Difference]], None]
"""Called after each span with what was found in it."""


@asynccontextmanager
async def open_replay(dsn: str) -> AsyncIterator["Replay"]:
    """A replay on a connection of its own, with the rights of the role in `dsn`.

    `ReplayRunning` while another one runs, `SchemaBehind` before the migrations.
    """
    connection = await asyncpg.connect(
        dsn,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=STATEMENT_LIMIT_S,
        # A span sorts in memory, and is too short to be worth compiling.
        server_settings={
            "application_name": "codex-media replay",
            "work_mem": "64MB",
            "jit": "off",
            "lock_timeout": f"{LOCK_LIMIT_S}s",
        },
    )
    try:
        if await connection.fetchval("SELECT to_regclass('media_items_folded')") is None:
            raise SchemaBehind(["0003_replay"])
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
            raise ReplayRunning
        yield Replay(connection)
    except asyncpg.InsufficientPrivilegeError as error:
        raise ReplayForbidden(str(error)) from error
    finally:
        await connection.close(timeout=CONNECT_TIMEOUT_S)


class Replay:
    """Rebuilds, compares and mends `media_items`."""

    def __init__(self, connection: "Connection", span_streams: int = SPAN_STREAMS) -> None:
        self.connection = connection
        self.span_streams = span_streams

    async def count(self) -> int:
        """How many streams there are."""
        found: int = await self.connection.fetchval(sql("count_streams"))
        return found

    async def check(self, tell: Tell) -> None:
        """Compare the live table with the history, and write nothing."""
        async for span in self._spans():
            tell(span, await self._differences("differences", span.first, span.last))

    async def rebuild(self, advance: Callable[[int], None]) -> None:
        """Make `media_items_rebuilt` anew from the events; `advance` is told of how many streams.

        A stream that is appended to meanwhile may change its place, and be met twice or never:
        `compare` looks anew at each that differs.
        """
        await self.connection.execute(
            "DROP TABLE IF EXISTS media_items_rebuilt; CREATE UNLOGGED TABLE media_items_rebuilt"
            " (LIKE media_items INCLUDING DEFAULTS INCLUDING CONSTRAINTS, PRIMARY KEY (id))"
        )
        for page in range(0, await self.connection.fetchval(sql("stream_pages")), SPAN_PAGES):
            ids = await self.connection.fetchval(sql("on_pages"), page, page + SPAN_PAGES)
            await self.connection.execute(sql("rebuild_items"), ids)
            advance(len(ids))

    async def compare(self, tell: Tell) -> None:
        """Compare the live table with the rebuilt one.

        Where they differ, the history decides anew: most of those items have only moved since.
        """
        async for span in self._spans():
            suspects = await self._suspects(span)
            found = await self._differences("differences_of", suspects) if suspects else ()
            tell(span, found)

    async def switch(self, tell: Tell) -> None:
        """Make the live table equal to the history, in one transaction.

        Only items in which it differs from the rebuilt one are touched. Each is folded once more
        under the lock of its stream's head, held to the end: appends to it wait meanwhile.
        """
        async with self.connection.transaction():
            async for span in self._spans():
                suspects = await self._suspects(span)
                tell(span, await self._mend(suspects) if suspects else ())

    async def _mend(self, suspects: list[UUID]) -> list[Difference]:
        # Each statement sees what was committed before it began, so the fold comes after the lock.
        await self.connection.execute(sql("lock_heads"), suspects)
        wrong = await self._differences("differences_of", suspects)
        ids = [each.media_id for each in wrong]
        for name in ("forget_rebuilt", "rebuild_items", "mend_rows", "drop_rows_without_events"):
            await self.connection.execute(sql(name), ids)
        return wrong

    async def _suspects(self, span: Span) -> list[UUID]:
        rows = await self.connection.fetch(sql("rebuilt_otherwise"), span.first, span.last)
        return [row["id"] for row in rows]

    async def _differences(self, name: str, *arguments: object) -> list[Difference]:
        return [_difference(row) for row in await self.connection.fetch(sql(name), *arguments)]

    async def _spans(self) -> AsyncIterator[Span]:
        """All ids, cut so that no span has more than `span_streams` streams at that moment."""
        left = await self.count()
        first = FIRST
        while True:
            following = await self.connection.fetchval(sql("span_end"), first, self.span_streams)
            if following is None:
                yield Span(first, LAST, max(left, 0))
                return
            yield Span(first, UUID(int=following.int - 1), self.span_streams)
            left -= self.span_streams
            first = following


async def check_projection_once(
    pool: Pool, streams: int = CHECK_STREAMS, recent_events: int = CHECK_RECENT_EVENTS
) -> int:
    """Compare the next `streams` streams and those of the newest events; how many rows are wrong.

    Wrong rows are logged as errors, and every turn is noted in `projection_checks`.
    """
    first, last = await _next_turn(pool, streams)
    newest = await pool.fetch(sql("recently_moved"), recent_events)
    recent = [row["stream_id"] for row in newest if not first <= row["stream_id"] <= last]
    checked = await pool.fetchval(sql("count_span"), first, last) + len(recent)
    rows = await pool.fetch(sql("differences"), first, last)
    rows += await pool.fetch(sql("differences_of"), recent)
    for each in map(_difference, rows[:TOLD_DIFFERENCES]):
        log.error("the row of media=%s is not what its events make: %s", each.media_id, _told(each))
    violated(Invariant.PROJECTION, len(rows))
    await pool.execute(sql("note_check"), last, checked, len(rows))
    await pool.execute(sql("forget_checks"), KEPT_CHECKS)
    return len(rows)


async def _next_turn(pool: Pool, streams: int) -> tuple[UUID, UUID]:
    """The ids after those of the turn before, or the first ones when that was the last."""
    upto = await pool.fetchval(sql("checked_upto"))
    first = FIRST if upto in {None, LAST} else UUID(int=upto.int + 1)
    following = await pool.fetchval(sql("span_end"), first, streams)
    return first, LAST if following is None else UUID(int=following.int - 1)


def _told(difference: Difference) -> str:
    if difference.kept is None or difference.folded is None:
        return "there is no row" if difference.kept is None else "there are no events"
    return ", ".join(name for name, _, _ in difference.columns())


def _difference(row: asyncpg.Record) -> Difference:
    kept, folded = (row[name] and json.loads(row[name]) for name in ("kept", "folded"))
    return Difference(row["id"], kept, folded)
