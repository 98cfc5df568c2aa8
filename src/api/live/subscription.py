"""What waits to be sent to one client. It never grows beyond a bound."""

import asyncio
from collections import deque
from enum import StrEnum
from uuid import UUID

MAX_WAITING = 256
"""Messages. A client that reads them in time has a handful."""


class End(StrEnum):
    """Why a stream ends that its client did not close."""

    SLOW = "slow"
    SHUTDOWN = "shutdown"
    RESTORED = "restored"


class Subscription:
    """One client's messages, after a place in the ledger."""

    def __init__(self, creator: str, after: int, joined: int, *, resumed: bool) -> None:
        self.creator = creator
        self.after = after
        """The client has what the ledger holds up to here."""
        self.joined = joined
        """What comes after this place is offered; what lies between is read from the ledger."""
        self.resumed = resumed
        self.ended: End | None = None
        self._events: deque[bytes] = deque()
        self._progress: dict[UUID, bytes] = {}
        self._ready = asyncio.Event()

    def offer(self, seq: int, media_id: UUID, message: bytes) -> None:
        """An event. Progress that waits to be sent is older, and said no more."""
        if self.ended or seq <= self.after:
            return
        self._progress.pop(media_id, None)
        self._events.append(message)
        self._wake()

    def offer_progress(self, media_id: UUID, message: bytes) -> None:
        """Progress. Only the newest of each item is kept."""
        if self.ended:
            return
        self._progress[media_id] = message
        self._wake()

    def end(self, why: End) -> None:
        """Send nothing more."""
        if self.ended is None:
            self.ended = why
            self._events.clear()
            self._progress.clear()
        self._ready.set()

    def _wake(self) -> None:
        if len(self._events) + len(self._progress) > MAX_WAITING:
            self.end(End.SLOW)
        self._ready.set()

    async def next(self, timeout_s: float) -> bytes:
        """All that waits, events first; empty once ended, or when nothing came in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._ready.wait()
        except TimeoutError:
            return b""
        self._ready.clear()
        waiting = b"".join((*self._events, *self._progress.values()))
        self._events.clear()
        self._progress.clear()
        return waiting
