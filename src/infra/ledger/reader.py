"""Global reading: events in the ledger's order, page by page, in constant memory."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple

from domain.events import StoredEvent
from infra.postgres.event_store import stored
from infra.postgres.pool import Pool
from infra.postgres.queries import sql

PAGE = 500


class LedgerGap(Exception):
    """The ledger's head claims an event that the ledger does not hold."""

    def __init__(self, seq: int) -> None:
        super().__init__(f"the ledger lacks event {seq}; docs/audit.md says what to do")
        self.seq = seq


class LedgerEvent(NamedTuple):
    """An event at its place."""

    seq: int
    stored: StoredEvent


class KeptCheckpoint(NamedTuple):
    """A signed checkpoint, as it was kept."""

    size: int
    root: bytes
    key_id: str
    note: str
    signed_at: datetime


class KeptMessage(NamedTuple):
    """What an event rests on: a message, byte by byte as it came."""

    kind: str
    body: bytes
    kept_at: datetime


class LedgerReader:
    """What auditors read, and the record that they did."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def size(self) -> int:
        """How many events have their place."""
        found: int = await self._pool.fetchval(sql("ledger_size"))
        return found

    async def events(self, after: int) -> AsyncIterator[LedgerEvent]:
        """The events after `after`, up to the end that the ledger has at the first page."""
        end = await self.size()
        while after < end:
            page = await self._pool.fetch(sql("ledger_page"), after, end, PAGE)
            if not page:
                raise LedgerGap(after + 1)
            for row in page:
                after = row["seq"]
                yield LedgerEvent(after, stored(row))

    async def checkpoint(self) -> KeptCheckpoint | None:
        """The newest checkpoint; None before the first."""
        row = await self._pool.fetchrow(sql("newest_checkpoint"))
        return None if row is None else KeptCheckpoint(*row)

    async def evidence(self, digest: bytes) -> KeptMessage | None:
        """The message with that SHA-256; None where none is kept."""
        row = await self._pool.fetchrow(sql("find_evidence"), digest)
        return None if row is None else KeptMessage(*row)

    async def note_read(self, actor: str, what: str) -> None:
        """Keep who read what, before it is answered."""
        await self._pool.execute(sql("note_audit_read"), actor, what)
