"""Whether the personal fields in an export are all that, and what, the events commit to.

An event's payload has a commitment in place of what it says of a person. The fields and their salt
stand beside it until the item is erased, which is an event too: fields that do not fit, that are
missing without that event, or that are still there after it, are wrong.
"""

import re
from collections.abc import Iterable
from hashlib import sha256

from infra.ledger.fold import Committing, Erased, Told, Unfoldable
from infra.ledger.row import Row

FORM = b"codex-media.personal.v1"
_LINE = re.compile(rb"([0-9a-f-]{36} [1-9][0-9]{0,17}) ([0-9a-f]{64}) (\{.*\})")

Wrong = tuple[int, int, str]
"""First and last place in the ledger, and what is wrong there."""


class Records:
    """The personal fields of a part's events. Each is taken once."""

    def __init__(self, lines: Iterable[bytes] = (), size: int = 0) -> None:
        """Of a ledger of `size` events. A line is stream, version, salt and fields."""
        self.wrong: list[Wrong] = []
        self._kept: dict[bytes, tuple[bytes, bytes]] = {}
        self._end = size + 1
        for line in lines:
            found = _LINE.fullmatch(line)
            if not found:
                self._tell("a line of the personal fields is none")
            elif self._kept.setdefault(found[1], (found[2], found[3])) != (found[2], found[3]):
                self._tell(f"there are two sets of personal fields of {_named(found[1])}")

    def take(self, stream: bytes, version: int) -> tuple[bytes, bytes] | None:
        """Salt and fields of an event, if they are there."""
        return self._kept.pop(b"%b %d" % (stream, version), None)

    def end(self) -> None:
        """No event is left: no fields may be."""
        for name in self._kept:
            self._tell(f"there are personal fields of {_named(name)}, which commits to none")

    def _tell(self, what: str) -> None:
        self.wrong.append((self._end, self._end, what))


def _named(name: bytes) -> str:
    stream, _, version = name.decode().partition(" ")
    return f"version {version} of {stream}"


class Disclosure:
    """What the events of one stream commit to, held against the fields that are there."""

    __slots__ = ("_commitments", "_erased", "_missing", "_present", "_records", "_stream", "_wrong")

    def __init__(self, stream: bytes, records: Records) -> None:
        self._stream, self._records = stream, records
        self._erased = False
        self._commitments: list[str] = []
        self._present: list[int] = []
        self._missing: list[int] = []
        self._wrong: list[Wrong] = []

    def take(self, seq: int, version: int, told: Told, row: Row) -> None:
        """Set in the row what the event commits to."""
        if isinstance(told, Erased):
            self._erased = True
            if told.commitments != self._commitments:
                self._tell(seq, "it names other commitments than those of its item's events")
        elif isinstance(told, Committing):
            self._commitments.append(told.commitment)
            record = self._records.take(self._stream, version)
            if record is None:
                self._missing.append(seq)
            else:
                self._present.append(seq)
                self._disclose(seq, told, record, row)

    def _disclose(self, seq: int, told: Committing, record: tuple[bytes, bytes], row: Row) -> None:
        salt, fields = record
        if sha256(b"%b\n%b\n%b" % (FORM, salt, fields)).hexdigest() != told.commitment:
            self._tell(seq, "its personal fields are not those that it commits to")
            return
        try:
            told.disclose(row, fields)
        except (ValueError, RecursionError) as error:
            raise Unfoldable(f"its personal fields are malformed ({error!r})") from error

    def wrong(self, *, whole: bool = True) -> list[Wrong]:
        """What is wrong, when the stream's last event was taken.

        Where not the `whole` stream could be read, nobody knows whether its item was erased.
        """
        if not whole:
            return self._wrong
        named = self._stream.decode(errors="replace")
        if self._erased:
            what = f"its personal fields are still there, though {named} was erased"
            return [*self._wrong, *((seq, seq, what) for seq in self._present)]
        what = f"its personal fields are missing, and no event says that {named} was erased"
        return [*self._wrong, *((seq, seq, what) for seq in self._missing)]

    def _tell(self, seq: int, what: str) -> None:
        self._wrong.append((seq, seq, what))
