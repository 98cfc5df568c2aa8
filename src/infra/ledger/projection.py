"""Whether exported rows of `media_items` are what the events fold to."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from msgspec import to_builtins
from msgspec.json import Decoder, decode

from infra.ledger.row import Row
from infra.ledger.stream import Stream

TIMES = ("deadline_at", "created_at", "updated_at")
FLOATS = ("duration_seconds",)

Wrong = tuple[int, int, str]
"""First and last place in the ledger, and what is wrong there."""

read_row = Decoder(Row).decode


class Rows:
    """The rows of a part, held against its streams. Both are in the order of their ids."""

    def __init__(self, lines: Iterable[bytes], size: int) -> None:
        """Of a ledger of `size` events."""
        self.wrong: list[Wrong] = []
        self._lines, self._size = iter(lines), size
        self._before = Stream()
        self._row = self._next()

    def compare(self, stream: Stream) -> None:
        """Hold the next stream's row against it."""
        expected = stream.row()
        if expected is None or self._row != expected:
            self._look_closer(stream, expected)
        else:
            self._row = self._next()
        self._before = stream

    def end(self) -> None:
        """No stream is left: no row may be."""
        while self._row:
            self._tell_unfounded(_columns(self._row))

    def _next(self) -> Row | dict[str, Any] | None:
        """The next row, by its columns if they are not those of one; None at the end."""
        for line in self._lines:
            try:
                return read_row(line)
            except (ValueError, RecursionError):
                pass
            try:
                row: dict[str, Any] = decode(line)
                if isinstance(row["id"], str) and isinstance(row["version"], int):
                    return row
            except (ValueError, LookupError, TypeError, RecursionError):
                pass
            self.wrong.append(
                (self._size, self._size, "the projection holds a line that is no row")
            )
        return None

    def _look_closer(self, stream: Stream, expected: Row | None) -> None:
        named = stream.id.decode(errors="replace")
        while self._row and (row := _columns(self._row))["id"] < named:
            self._tell_unfounded(row)
        if not self._row or row["id"] != named:
            what = f"the projection lacks the item of {named}"
            self.wrong.append((stream.first, stream.seq, what))
            return
        self._row = self._next()
        if expected is None:
            return
        if row["version"] > stream.version:
            what = f"it is missing: the projection shows version {row['version']} of {named}"
            self.wrong.append((self._size + 1, self._size + 1, what))
            return
        differing = ", ".join(_differing(row, _columns(expected)))
        if differing:
            what = f"the projection of {named} differs from its events in {differing}"
            self.wrong.append((stream.seq, stream.seq, what))

    def _tell_unfounded(self, row: dict[str, Any]) -> None:
        place, what = self._size + 1, f"the projection shows {row['id']}, which has no events"
        if row["id"] == self._before.id.decode(errors="replace"):
            place, what = self._before.seq, f"the projection shows {row['id']} twice"
        self.wrong.append((place, place, what))
        self._row = self._next()


def _columns(row: Row | dict[str, Any]) -> dict[str, Any]:
    return row if isinstance(row, dict) else to_builtins(row)


def _differing(row: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    return sorted(
        name
        for name in expected.keys() | row.keys()
        if name not in row or name not in expected or not _same(name, row[name], expected[name])
    )


def _same(name: str, shown: object, folded: object) -> bool:
    if name in TIMES:
        return _moment(shown) == _moment(folded)
    if name in FLOATS and isinstance(shown, int | float) and isinstance(folded, int | float):
        return float(shown) == float(folded)  # a large one may be written with all its digits
    return type(shown) is type(folded) and shown == folded


def _moment(text: object) -> object:
    """The time, however many digits its fraction is written with; what is none, as it is."""
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return text
