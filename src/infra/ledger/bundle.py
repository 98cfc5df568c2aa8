"""The bundle an auditor takes away: one zip, readable with any tool. docs/audit.md specifies it.

events.txt         each event's hashed text, after a line `SEQ LENGTH`
leaves.bin         the events' hashes, 32 bytes each, in order
checkpoints.txt    every signed checkpoint, oldest first, with an empty line after each
media_items.jsonl  the projection, one row a line
key.txt            the public key, for convenience: it proves nothing
"""

from collections.abc import Iterator
from typing import IO, NamedTuple

EVENTS = "events.txt"
LEAVES = "leaves.bin"
CHECKPOINTS = "checkpoints.txt"
ITEMS = "media_items.jsonl"
KEY = "key.txt"
README = "README.txt"

FIELDS = 15
"""Lines of an event's text. The payload, the last, is JSON without line breaks."""
MAX_EVENT_BYTES = 16 * 1024 * 1024
MAX_HEADER_BYTES = 40
CHUNK_BYTES = 1024 * 1024

README_TEXT = """\
The ledger of a codex-media service, for proof without the service.

Verify it with `codex-media audit verify THIS.zip --key PUBLIC_KEY --since AN_OLD_CHECKPOINT`,
with a key and a checkpoint that you have from elsewhere. docs/audit.md of codex-media describes
the format so that a second verifier can be written.

events.txt         every event in the ledger's order: a line `SEQ LENGTH`, then LENGTH bytes and a
                   line feed. SHA-256 over those bytes is the event's hash.
leaves.bin         the events' hashes, 32 bytes each: the leaves of an RFC 6962 Merkle tree
checkpoints.txt    signed tree heads (c2sp.org/tlog-checkpoint), oldest first
media_items.jsonl  the state the service showed, which must be the fold of the events
key.txt            the key the service says it signs with
"""


class BundleUnreadable(Exception):
    """The file is no bundle, or one from which nothing can be read."""

    code = "bundle_unreadable"


class RecordBroken(Exception):
    """events.txt has no whole record where that of `seq` must be."""

    def __init__(self, seq: int, what: str) -> None:
        super().__init__(what)
        self.seq = seq


class Record(NamedTuple):
    """One event: its place, and the exact bytes that are hashed."""

    seq: int
    text: bytes

    def encoded(self) -> bytes:
        """The record as it stands in events.txt."""
        return b"%d %d\n%b\n" % (self.seq, len(self.text), self.text)


def records(file: IO[bytes]) -> Iterator[Record]:
    """The records of events.txt, numbered from 1 without a gap; `RecordBroken` otherwise."""
    buffer, start, seq = b"", 0, 1
    while True:
        head_end = buffer.find(b"\n", start, start + MAX_HEADER_BYTES)
        if head_end >= 0:
            end = head_end + 1 + _length(buffer[start:head_end], seq)
            if end < len(buffer):
                if buffer[end] != 10:
                    raise RecordBroken(seq, "its record is longer or shorter than it says")
                yield Record(seq, buffer[head_end + 1 : end])
                start, seq = end + 1, seq + 1
                continue
        elif len(buffer) - start >= MAX_HEADER_BYTES:
            raise RecordBroken(seq, "its record does not begin with its number and length")
        more = file.read(CHUNK_BYTES)
        if not more:
            break
        buffer, start = buffer[start:] + more, 0
    if start < len(buffer):
        raise RecordBroken(seq, "its record is cut off")


def _length(header: bytes, seq: int) -> int:
    number, _, digits = header.partition(b" ")
    if not (number.isdigit() and digits.isdigit()):
        raise RecordBroken(seq, "its record does not begin with its number and length")
    length = int(digits)
    if number != b"%d" % seq:
        raise RecordBroken(seq, f"event {int(number)} stands in its place")
    if length > MAX_EVENT_BYTES:
        raise RecordBroken(seq, f"its record claims {length} bytes")
    return length


def leaves(file: IO[bytes]) -> Iterator[bytes]:
    """The hashes of leaves.bin. A last one that is cut off comes as it is."""
    while chunk := file.read(32 * 4096):
        for start in range(0, len(chunk), 32):
            yield chunk[start : start + 32]


def notes(text: str) -> list[str]:
    """The notes of checkpoints.txt."""
    lines = text.split("\n")
    return ["\n".join(lines[at : at + 5]) + "\n" for at in range(0, len(lines) - 5, 6)]
