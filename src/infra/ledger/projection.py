"""Whether exported rows of `media_items` are what the events fold to."""

import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from pydantic import TypeAdapter

from domain.events import Event
from domain.media import MediaItem, evolve
from domain.read_model import project
from domain.upcasting import CURRENT, EventTooNew, UpcasterMissing, read_event
from infra.ledger.bundle import EVENTS, FIELDS, ITEMS, Record, records

STEP = 4096
TIMES = frozenset({"deadline_at", "created_at", "updated_at"})
_EVENT: TypeAdapter[Event] = TypeAdapter(Event)
_CURRENT = {name.encode(): b"%d" % version for name, version in CURRENT.items()}

Wrong = tuple[int, int, str]
"""First and last place in the ledger, and what is wrong there."""


@dataclass(slots=True)
class Folded:
    """An item so far, and the places of its first and its newest event."""

    item: MediaItem
    first_seq: int
    created_at: bytes
    last_seq: int
    updated_at: bytes


class Share(NamedTuple):
    """Which of the streams are looked at: one part of several, by the beginning of their ids."""

    number: int = 0
    of: int = 1

    def has(self, stream: bytes) -> bool:
        """Whether the stream belongs to it."""
        return self.of == 1 or int(stream[:4], 16) % self.of == self.number


def check_file(path: Path, share: Share) -> list[Wrong]:
    """What differs in a share of the bundle at `path`: in a process of its own."""
    with (
        zipfile.ZipFile(path) as archive,
        archive.open(EVENTS) as events,
        archive.open(ITEMS) as items,
    ):
        return check_projection(records(events), items, lambda _: None, share)


def check_projection(
    found: Iterable[Record],
    rows: Iterable[bytes],
    progress: Callable[[int], None],
    share: Share = Share(),  # noqa: B008 - immutable
) -> list[Wrong]:
    """What differs, by first place."""
    folded: dict[bytes, Folded] = {}
    seq = 0
    for seq, text in found:
        try:
            fields = text.split(b"\n", FIELDS - 1)
            if share.has(fields[1]):
                _evolve(folded, seq, fields)
        except (ValueError, EventTooNew, UpcasterMissing) as error:
            return [(seq, seq, f"it cannot be folded: {str(error).splitlines()[0]}")]
        if not seq % STEP:
            progress(STEP)
    progress(seq % STEP)
    return sorted(_compare(folded, rows, seq, share))


def _evolve(folded: dict[bytes, Folded], seq: int, fields: list[bytes]) -> None:
    event = _event(fields[4], fields[5], fields[14])
    before = folded.get(fields[1])
    if before is None:
        item = evolve(None, event)
        folded[fields[1]] = Folded(item, seq, fields[12], seq, fields[12])
        return
    before.item = evolve(before.item, event)
    before.last_seq = seq
    before.updated_at = fields[12]


def _event(event_type: bytes, schema_version: bytes, payload: bytes) -> Event:
    if schema_version != _CURRENT.get(event_type) or payload == b"{}":
        return read_event(event_type.decode(), int(schema_version), json.loads(payload))
    # The type stands beside the payload. Put in as text: parsing twice would cost half the time.
    return _EVENT.validate_json(b'{"type":"%b",%b' % (event_type, payload[1:]))


def _compare(
    folded: dict[bytes, Folded], rows: Iterable[bytes], size: int, share: Share
) -> Iterator[Wrong]:
    for line in rows:
        try:
            row = json.loads(line)
            version = int(row["version"])
            stream = str(UUID(row["id"])).encode()
        except (ValueError, TypeError, KeyError, AttributeError):
            yield size, size, "the projection holds a line that is no row"
            continue
        if not share.has(stream):
            continue
        found = folded.pop(stream, None)
        if found is None:
            yield size + 1, size + 1, f"the projection shows {row['id']}, which has no events"
        elif version > found.item.version:
            what = f"the projection shows version {version} of {row['id']}"
            yield size + 1, size + 1, f"it is missing: {what}"
        else:
            yield from _differing(row, found)
    for stream, found in folded.items():
        what = f"the projection lacks the item of {stream.decode()}"
        yield found.first_seq, found.last_seq, what


def _differing(row: dict[str, object], found: Folded) -> Iterator[Wrong]:
    expected: dict[str, object] = {**project(UUID(str(row["id"])), found.item)}
    expected["created_at"] = found.created_at.decode()
    expected["updated_at"] = found.updated_at.decode()
    names = expected.keys() | row.keys()
    differing = sorted(name for name in names if not _same(name, row, expected))
    if differing:
        what = f"the projection of {row['id']} differs from its events in {', '.join(differing)}"
        yield found.last_seq, found.last_seq, what


def _same(name: str, row: dict[str, object], expected: dict[str, object]) -> bool:
    if name not in row or name not in expected:
        return False
    shown, folded = row[name], expected[name]
    if name in TIMES:
        return _moment(shown) == _moment(folded)
    return shown == folded


def _moment(text: object) -> object:
    """The time, however many digits its fraction is written with; what is none, as it is."""
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return text
