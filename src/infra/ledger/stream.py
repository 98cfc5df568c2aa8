"""The events of one media item, one after the other: their chain, and the row they make."""

from binascii import hexlify
from copy import copy
from datetime import datetime
from typing import NamedTuple

from msgspec.json import Decoder

from infra.ledger import bundle
from infra.ledger.fold import FIRST, Unfoldable, Upcast, read, upcast_payload
from infra.ledger.personal import Disclosure, Records, Wrong
from infra.ledger.row import EMPTY, Row

FORM = b"codex-media.event.v1"
MAX_VERSION_DIGITS = 18
_read_moment = Decoder(datetime).decode


class Broken(NamedTuple):
    """An event that is not what it must be."""

    seq: int
    what: str
    follows: int = 0
    """The event whose hash it does not name. Of two that are not proven, either may be wrong."""


class BrokenEvent(Exception):
    """Carries a `Broken`."""

    def __init__(self, seq: int, what: str, follows: int = 0) -> None:
        super().__init__(what)
        self.broken = Broken(seq, what, follows)


def parse(seq: int, text: bytes) -> list[bytes]:
    """The lines of an event's text; `BrokenEvent`."""
    lines = text.split(b"\n")
    if len(lines) != bundle.FIELDS or lines[0] != FORM:
        raise BrokenEvent(seq, "it does not have an event's form")
    return lines


class Stream:
    """A stream so far: its newest event, and its row. Each event is held against the one before."""

    __slots__ = (
        "_after",
        "_born",
        "_changed",
        "_hash",
        "_row",
        "disclosure",
        "first",
        "id",
        "seq",
        "version",
    )

    def __init__(
        self, stream_id: bytes = b"", after: bytes = b"", personal: Records | None = None
    ) -> None:
        """Of that id, behind the stream `after`, with what is `personal` in its part."""
        self.id, self._after = stream_id, after
        self.disclosure = Disclosure(stream_id, personal or Records())
        self.version = self.first = self.seq = 0
        self._hash = self._born = self._changed = b""
        self._row: Row | None = copy(EMPTY)

    def take(
        self, seq: int, lines: list[bytes], digest: bytes, upcast: Upcast = upcast_payload
    ) -> None:
        """The event after; `BrokenEvent` if it is not, `Unfoldable` if it makes no row."""
        _, _, version, _, kind, schema_version, _, _, _, _, _, _, at, named, payload = lines
        before, self.version = self.version, self.version + 1
        after, self.seq = self.seq, seq
        hashed, self._hash = self._hash, hexlify(digest)
        if version != b"%d" % self.version or named != hashed or seq < after:
            self._row = None
            raise self._broken(before, after, version)
        self._changed = at
        if not before:
            self.first, self._born = seq, at
            if self.id < self._after:
                raise BrokenEvent(seq, "its stream stands behind a later one")
        if self._row is None:
            return
        row, self._row = self._row, None
        if (kind == FIRST) is not (not before):
            raise Unfoldable(f"it is {kind.decode(errors='replace')} as version {self.version}")
        told = read(kind, schema_version, payload, upcast)
        told.set(row)
        self.disclosure.take(seq, self.version, told, row)
        self._row = row

    def _broken(self, before: int, after: int, version: bytes) -> BrokenEvent:
        """What is wrong. What comes after is held against this event nevertheless."""
        expected, own = b"%d" % self.version, self.id.decode(errors="replace")
        if version != expected:
            known = version.isdigit() and len(version) <= MAX_VERSION_DIGITS
            self.version = int(version) if known else 0
            said = version.decode(errors="replace")
            what = f"it is version {said} of {own}, which is at version {before}"
            return BrokenEvent(self.seq, what)
        if self.seq < after:
            return BrokenEvent(self.seq, f"it comes after event {after} of {own}")
        what = f"event {self.seq} does not follow event {after} of {own}: it names another hash"
        return BrokenEvent(self.seq, what, after)

    def undisclosed(self) -> list[Wrong]:
        """What is wrong with the personal fields. Whether they may lack is in the last event."""
        return self.disclosure.wrong(whole=self._row is not None)

    def row(self) -> Row | None:
        """The row that the events make; None where nobody can tell."""
        if self.undisclosed():
            return None
        if self._row is not None:
            self._row.id = self.id.decode(errors="replace")
            self._row.version = self.version
            self._row.created_at = moment(self._born)
            self._row.updated_at = moment(self._changed)
        return self._row


def moment(text: bytes) -> datetime | None:
    """The time that an event tells; None for what is none."""
    try:
        return _read_moment(b'"%b"' % text)
    except ValueError:
        return None
