"""Each event against its leaf and the one before it in its stream, and the rows against them.

    python -m infra.ledger.history BUNDLE NUMBER OF

checks one share of the streams and prints, as lines of JSON, how many events it went through each
time and then its `Outcome`. `processes` starts one for each core.
"""

import gc
import json
import sys
import zipfile
import zlib
from binascii import hexlify
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import NamedTuple
from zlib import crc32

from infra.ledger import bundle
from infra.ledger.fold import Record, Stream, Unfoldable, upcast_payload
from infra.ledger.projection import Wrong, check_rows
from infra.ledger.share import Share

FORM = b"codex-media.event.v1"
MISMATCH = "its hash is not that of its leaf"

Advance = Callable[[int], None]
"""Called with how many more events were gone through."""


class Broken(NamedTuple):
    """The first event that is not what it must be. Nothing after it was looked at."""

    seq: int
    what: str
    follows: int = 0
    """The event whose hash it does not name. Of two that are not proven, either may be wrong."""
    rest: bool = False
    """It and all after it cannot be read."""


class BrokenEvent(Exception):
    """Carries a `Broken`."""

    def __init__(self, seq: int, what: str, follows: int = 0) -> None:
        super().__init__(what)
        self.broken = Broken(seq, what, follows)


@dataclass
class Outcome:
    """What was found in a share of the streams."""

    events: int = 0
    """How many stand in the file, of all shares."""
    streams: int = 0
    broken: Broken | None = None
    rows: list[Wrong] = field(default_factory=list)
    """Events that make no row, and rows that differ. Looked for only where the events are sound."""


def check(archive: zipfile.ZipFile, share: Share, advance: Advance) -> Outcome:
    """Check the streams of a share."""
    history = _History(share)
    outcome = Outcome()
    try:
        with archive.open(bundle.LEAVES) as leaves, archive.open(bundle.EVENTS) as events:
            for records in bundle.records(events):
                history.take(outcome.events + 1, records, bundle.leaves(leaves, len(records)))
                outcome.events += len(records)
                advance(len(records))
    except BrokenEvent as error:
        outcome.broken = error.broken
    except bundle.RecordBroken as error:
        outcome.broken = Broken(error.seq, str(error))
    except (zipfile.BadZipFile, zlib.error) as error:
        what = f"the archive is damaged ({error})"
        outcome.broken = Broken(outcome.events + 1, what, rest=True)
    outcome.streams = len(history.streams)
    if outcome.broken is None:
        outcome.rows = history.unfoldable
        outcome.rows += _rows(archive, history.streams, outcome.events, share)
    return outcome


def _rows(
    archive: zipfile.ZipFile, streams: dict[bytes, Stream], size: int, share: Share
) -> list[Wrong]:
    with archive.open(bundle.ITEMS) as items:
        return list(check_rows(bundle.rows(items), streams, size, share))


class _History:
    """The streams of a share so far."""

    def __init__(self, share: Share) -> None:
        self._share = share
        self.streams: dict[bytes, Stream] = {}
        self.unfoldable: list[Wrong] = []

    def take(self, first: int, records: list[Record], leaves: list[bytes]) -> None:
        """The next events, from that numbered `first`, and their leaves; `BrokenEvent`."""
        number, of = self._share
        leaves += [b""] * (len(records) - len(leaves))
        places = zip(range(first, first + len(records)), records, leaves, strict=True)
        for seq, record, leaf in places:
            if of > 1 and crc32(record[2]) % of != number:
                continue
            digest = sha256(bundle.text_of(seq, record)).digest()
            if digest != leaf:
                raise BrokenEvent(seq, MISMATCH if leaf else "it has no leaf: it was added")
            if record[1] != FORM:
                raise BrokenEvent(seq, "it does not have an event's form")
            self._follow(seq, record, digest)

    def _follow(self, seq: int, record: Record, digest: bytes) -> None:
        stream = self.streams.get(record[2])
        if stream is None:
            stream = self.streams[record[2]] = Stream()
        version = stream.version + 1
        if record[3] != b"%d" % version or record[14] != stream.hash:
            raise _broken_chain(seq, record, stream)
        stream.version, stream.hash, stream.seq = version, hexlify(digest), seq
        try:
            stream.fold(seq, record, upcast_payload)
        except Unfoldable as error:
            self.unfoldable.append((error.seq, error.seq, f"it cannot be folded: {error}"))


def _broken_chain(seq: int, record: Record, before: Stream) -> BrokenEvent:
    stream, version = record[2].decode("utf-8", "replace"), record[3].decode("utf-8", "replace")
    if record[3] != b"%d" % (before.version + 1):
        what = f"it is version {version} of {stream}, which is at version {before.version}"
        return BrokenEvent(seq, what)
    what = f"event {seq} does not follow event {before.seq} of {stream}: it names another hash"
    return BrokenEvent(seq, what, before.seq)


def main(path: str, number: str, of: str) -> None:
    """Check a share, and tell of it on stdout."""
    gc.disable()  # nothing here refers to itself
    try:
        with zipfile.ZipFile(path) as archive:
            _tell(asdict(check(archive, Share(int(number), int(of)), _tell)))
    except bundle.UNREADABLE as error:
        _tell({"unreadable": str(error)})


def _tell(what: object) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
