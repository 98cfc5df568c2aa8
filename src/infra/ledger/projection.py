"""Whether exported rows of `media_items` are what the events fold to."""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime

from pydantic_core import from_json

from infra.ledger.fold import Columns, Stream, Unfoldable
from infra.ledger.share import Share

TIMES = ("deadline_at", "created_at", "updated_at")
FLOATS = ("duration_seconds",)
_ID = re.compile(rb'"id"\s*:\s*"([^"]*)"')

Wrong = tuple[int, int, str]
"""First and last place in the ledger, and what is wrong there."""


def check_rows(
    lines: Iterable[bytes], streams: dict[bytes, Stream], size: int, share: Share
) -> Iterator[Wrong]:
    """What differs between the rows and the streams of a share, in a ledger of `size` events."""
    for line in lines:
        named = _ID.search(line)
        if not share.has(named[1] if named else b""):
            continue
        try:
            row = from_json(line)
            found = streams.get(row["id"].encode())
            missing = found is None or row["version"] > found.version
        except (ValueError, LookupError, TypeError, AttributeError):
            yield size, size, "the projection holds a line that is no row"
            continue
        if found is None:
            yield size + 1, size + 1, f"the projection shows {row['id']}, which has no events"
        elif found.shown:
            yield found.seq, found.seq, f"the projection shows {row['id']} twice"
        elif missing:
            what = f"the projection shows version {row['version']} of {row['id']}"
            yield size + 1, size + 1, f"it is missing: {what}"
        else:
            yield from _differing(row, found)
        if found:
            found.shown = True
    for stream, found in streams.items():
        if found.shown:
            continue
        what = f"the projection lacks the item of {stream.decode('utf-8', 'replace')}"
        yield found.first_seq, found.seq, what


def _differing(row: Columns, found: Stream) -> Iterator[Wrong]:
    try:
        expected = found.row(str(row["id"]))
    except Unfoldable as error:
        yield error.seq, error.seq, f"it cannot be folded: {error}"
        return
    for name in TIMES:
        expected[name] = _as_a_database_shows(expected.get(name))
    if row == expected:
        return
    names = expected.keys() | row.keys()
    differing = sorted(name for name in names if not _same(name, row, expected))
    if differing:
        what = f"the projection of {row['id']} differs from its events in {', '.join(differing)}"
        yield found.seq, found.seq, what


def _as_a_database_shows(moment: object) -> object:
    """A time in UTC as it most likely stands in the row, which then needs no closer look."""
    if not isinstance(moment, str) or not moment.endswith("Z"):
        return moment
    whole, _, fraction = moment[:-1].partition(".")
    fraction = fraction.rstrip("0")
    return f"{whole}.{fraction}+00:00" if fraction else f"{whole}+00:00"


def _same(name: str, row: Columns, expected: Columns) -> bool:
    if name not in row or name not in expected:
        return False
    shown, folded = row[name], expected[name]
    if name in TIMES:
        return _moment(shown) == _moment(folded)
    if name in FLOATS and isinstance(shown, int | float) and isinstance(folded, int | float):
        return float(shown) == float(folded)  # a large one may be written with all its digits
    return shown == folded


def _moment(text: object) -> object:
    """The time, however many digits its fraction is written with; what is none, as it is."""
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return text
