"""Each event against its leaf and the one before it in its stream, and the rows against them.

    python -m infra.ledger.history BUNDLE NUMBER OF MAP

checks every OF-th part of a bundle, beginning with that after NUMBER others. MAP is the descriptor
of the file that all who check shares keep `Sound` in. Printed are, as lines of JSON, how many
events it went through each time and then its `Outcome`. `processes` starts one for each core.
"""

import gc
import json
import mmap
import sys
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import NamedTuple

from infra.ledger import bundle, glance
from infra.ledger.bundle import HASH_BYTES, Leaves
from infra.ledger.fold import Unfoldable
from infra.ledger.personal import Records
from infra.ledger.projection import Rows, Wrong
from infra.ledger.stream import Broken, BrokenEvent, Stream, parse

Advance = Callable[[int], None]
"""Called with how many more events were gone through."""


class Share(NamedTuple):
    """Every `of`-th part, beginning with that after `number` others."""

    number: int = 0
    of: int = 1


Sound = bytearray | mmap.mmap
"""A byte for each place in the ledger: 1 where an event has the hash of the leaf."""


@dataclass
class Outcome:
    """What was found in a share of the parts."""

    events: int = 0
    """With the hash of their leaves, and each for the first time."""
    streams: int = 0
    broken: Broken | None = None
    """The first event that is signed like that, and wrong all the same."""
    stray: Broken | None = None
    """What stands in a part and has no place in the ledger."""
    damaged: str = ""
    """Why a part cannot be read."""
    rows: list[Wrong] = field(default_factory=list)
    """Events that make no row, personal fields that they do not commit to, and rows that differ.
    They count only where all events are sound."""


def check(archive: zipfile.ZipFile, share: Share, sound: Sound, advance: Advance) -> Outcome:
    """Check a share of the parts."""
    with bundle.open_leaves(archive) as leaves:
        walk = _Walk(leaves, sound)
        for part in bundle.parts(archive)[share.number :: share.of]:
            rows = bundle.rows(bundle.read(archive, bundle.items_of(part)))
            personal = bundle.personal(archive, part)
            try:
                events = bundle.read(archive, bundle.events_of(part))
            except bundle.DAMAGED as error:
                walk.outcome.damaged = str(error)
            else:
                advance(walk.through(events, rows, personal))
        return walk.outcome


class _Walk:
    """Through parts, one after the other."""

    def __init__(self, leaves: Leaves, sound: Sound) -> None:
        self._leaves, self._sound = leaves, sound
        self.outcome = Outcome()

    def through(self, part: bytes, rows: list[bytes], personal: list[bytes]) -> int:
        """Check a part; how many records it has."""
        try:
            places = glance.places_of(part, rows, personal, self._leaves)
        except glance.Doubtful:
            return self._one_by_one(part, rows, personal)
        if any(self._sound[place - 1] for place in places):
            return self._one_by_one(part, rows, personal)
        for place in places:
            self._sound[place - 1] = 1
        self.outcome.events += len(places)
        self.outcome.streams += len(rows)
        return len(places)

    def _one_by_one(self, part: bytes, lines: list[bytes], personal: list[bytes]) -> int:
        (leaves, begin, size), sound = self._leaves, self._sound
        rows, fields = Rows(lines, size), Records(personal, size)
        records, stream = 0, Stream()
        for records, (seq, text) in enumerate(bundle.records(part), 1):  # noqa: B007
            digest = sha256(text).digest()
            at = begin + HASH_BYTES * seq
            if not 0 < seq <= size or leaves[at : at + HASH_BYTES] != digest or sound[seq - 1]:
                self._stray(seq)
                continue
            sound[seq - 1] = 1
            self.outcome.events += 1
            try:
                told = parse(seq, text)
                if told[1] != stream.id:
                    self._end(stream, rows)
                    stream = Stream(told[1], stream.id, fields)
                stream.take(seq, told, digest)
            except BrokenEvent as error:
                self.outcome.broken = min(self.outcome.broken or error.broken, error.broken)
            except Unfoldable as error:
                self.outcome.rows.append((seq, seq, f"it cannot be folded: {error}"))
        self._end(stream, rows)
        rows.end()
        fields.end()
        self.outcome.rows += rows.wrong + fields.wrong
        return records

    def _end(self, stream: Stream, rows: Rows) -> None:
        if stream.version:
            self.outcome.streams += 1
            rows.compare(stream)
            self.outcome.rows += stream.undisclosed()

    def _stray(self, seq: int) -> None:
        end = self._leaves.size + 1
        if not seq:
            stray = Broken(end, "a part holds what is no event")
        elif seq >= end:
            stray = Broken(end, "it has no leaf: it was added")
        elif self._sound[seq - 1]:
            stray = Broken(seq, "more than one event has its place")
        else:
            stray = Broken(seq, "its hash is not that of its leaf")
        self.outcome.stray = min(self.outcome.stray or stray, stray)


def main(path: str, number: str, of: str, file: str) -> None:
    """Check a share, and tell of it on stdout."""
    gc.disable()  # nothing here refers to itself
    try:
        with zipfile.ZipFile(path) as archive:
            sound = mmap.mmap(int(file), 0)
            _tell(asdict(check(archive, Share(int(number), int(of)), sound, _tell)))
    except bundle.UNREADABLE as error:
        _tell({"unreadable": str(error)})


def _tell(what: object) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
