"""Server-sent events and lines of JSON, out of bytes as they come. No I/O.

Source: WHATWG HTML, 9.2.6, "Interpreting an event stream".
"""

from collections.abc import Iterator
from typing import NamedTuple

from codex_media.errors import StreamBroken
from codex_media.live_models import LiveProgress, MediaChange, Opened
from codex_media.models import LedgerEvent

MAX_LINE_BYTES = 4 * 1024 * 1024


class Lines:
    """Cuts bytes into lines. (Text is not cut: it knows more ends of lines than the wire does.)"""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, more: bytes) -> Iterator[bytes]:
        """The lines that end within what came so far."""
        *whole, self._rest = (self._rest + more).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            raise StreamBroken("A line of the stream has no end.")
        yield from (line.removesuffix(b"\r") for line in whole)


class Message(NamedTuple):
    """One event of a stream. `id` is None where it is not resumed from."""

    kind: str
    data: str
    id: str | None


LiveEvent = Opened | MediaChange | LiveProgress
KINDS: dict[str, type[LiveEvent]] = {
    "open": Opened,
    "media": MediaChange,
    "progress": LiveProgress,
}


class Messages:
    """Puts lines together to messages."""

    def __init__(self) -> None:
        self._lines = Lines()
        self._fields: dict[str, str] = {}

    def feed(self, more: bytes) -> Iterator[Message]:
        """The messages that end within what came so far."""
        for line in self._lines.feed(more):
            if line:
                self._take(line.decode("utf-8", "replace"))
            elif (found := self._dispatched()) is not None:
                yield found

    def _take(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data" and "data" in self._fields:
            value = f"{self._fields['data']}\n{value}"
        if name:
            self._fields[name] = value

    def _dispatched(self) -> Message | None:
        fields, self._fields = self._fields, {}
        if "data" not in fields:
            return None
        return Message(fields.get("event", "message"), fields["data"], fields.get("id"))


def live_event(message: Message) -> LiveEvent | None:
    """What a message of the service's stream says; None for kinds that are newer than this.

    `StreamBroken` for what cannot be read.
    """
    kind = KINDS.get(message.kind)
    try:
        return None if kind is None else kind.model_validate_json(message.data)
    except ValueError as error:
        raise StreamBroken(f"A message of the stream cannot be read: {error}") from None


def ledger_event(line: bytes) -> LedgerEvent:
    """A line of the ledger; `StreamBroken` for what cannot be read."""
    try:
        return LedgerEvent.model_validate_json(line)
    except ValueError as error:
        raise StreamBroken(f"A line of the ledger cannot be read: {error}") from None
