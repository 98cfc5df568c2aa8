"""uvicorn's HTTP protocol, which waits for a request's head so long, and takes so much of it.

uvicorn itself waits for the first head of a connection for ever, and with httptools it takes one of
any length. Its own keep-alive time runs between requests.
"""

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

try:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
except ImportError:  # The service's own image has no httptools; uvicorn takes h11 then, too.
    HttpToolsProtocol = None  # type: ignore[assignment, misc]

if TYPE_CHECKING:
    from asyncio import TimerHandle

    Base = H11Protocol
else:
    Base = ABC


class GuardedHeads(Base):
    """Closes a connection whose next head does not come whole, in time and in size.

    What a client still sends of a body after its answer gets the same time.
    """

    head_timeout_s: float
    max_head_bytes: int
    _timer: "TimerHandle | None" = None
    _taken = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there, and its first head is waited for."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Some of a head or of a body came."""
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._come()
        elif before is None or before.response_complete:
            self._wait()
            self._taken += len(data)
            if self._taken > self.max_head_bytes and self.in_head():
                self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._come()
        super().connection_lost(exc)

    @abstractmethod
    def in_head(self) -> bool:
        """Whether what comes is a head; else it is a body that nobody waits for."""

    def _wait(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.head_timeout_s, self.transport.close)

    def _come(self) -> None:
        self._taken = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class GuardedH11(GuardedHeads, H11Protocol):
    """Guarded, over h11."""

    def in_head(self) -> bool:
        """h11 knows."""
        return self.conn.their_state is h11.IDLE


def guarded(head_timeout_s: float, max_head_bytes: int) -> type[asyncio.Protocol]:
    """The protocol that uvicorn would take, with these limits, for `Config.http`."""
    limits: dict[str, Any] = {"head_timeout_s": head_timeout_s, "max_head_bytes": max_head_bytes}
    base = GuardedH11 if HttpToolsProtocol is None else _over_httptools()
    return type(base.__name__, (base,), limits)


def _over_httptools() -> type[GuardedHeads]:
    class GuardedHttpTools(GuardedHeads, HttpToolsProtocol):  # type: ignore[misc]
        """Guarded, over httptools."""

        _in_head = True

        def in_head(self) -> bool:
            """As the parser said last."""
            return self._in_head

        def on_message_begin(self) -> None:
            """A head begins."""
            self._in_head = True
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            """A head is whole."""
            self._in_head = False
            super().on_headers_complete()

    return GuardedHttpTools
