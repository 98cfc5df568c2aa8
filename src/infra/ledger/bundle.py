"""The bundle an auditor takes away: one zip, readable with any tool. docs/audit.md specifies it.

events.txt         each event's hashed text, after a line `SEQ LENGTH`
leaves.bin         the events' hashes, 32 bytes each, in order
checkpoints.txt    every signed checkpoint, oldest first, with an empty line after each
media_items.jsonl  the projection, one row a line
key.txt            the public key, for convenience: it proves nothing
"""

import zipfile
import zlib
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
LINES = 1 + FIELDS
"""Of a record."""
HASH_BYTES = 32
MAX_EVENT_BYTES = 16 * 1024 * 1024
CHUNK_BYTES = 128 * 1024
"""Larger ones are slower: they leave the processor's cache."""

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


UNREADABLE = (zipfile.BadZipFile, zlib.error, KeyError, UnicodeDecodeError, EOFError)
"""What is raised where a part of the bundle is missing or damaged."""


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


def records(file: IO[bytes]) -> Iterator[list[tuple[bytes, ...]]]:
    """The records of events.txt as their lines, many at a time; `RecordBroken` at the end.

    Whether a record's first line fits its others is for `text_of` to say.
    """
    lines: list[bytes] = []
    seq, rest = 1, b""
    while len(rest) <= MAX_EVENT_BYTES and (more := file.read(CHUNK_BYTES)):
        fresh = (rest + more).split(b"\n")
        rest = fresh.pop()
        lines += fresh
        whole = [*zip(*[iter(lines)] * LINES, strict=False)]
        yield whole
        seq += len(whole)
        lines = lines[LINES * len(whole) :]
    if lines or rest:
        raise RecordBroken(seq, "its record is cut off")


def text_of(seq: int, record: tuple[bytes, ...]) -> bytes:
    """The exact bytes that are hashed; `RecordBroken` if that is not the record of `seq`."""
    text = b"\n".join(record[1:])
    if record[0] != b"%d %d" % (seq, len(text)):
        raise RecordBroken(seq, _broken(record[0], seq))
    return text


def _broken(header: bytes, seq: int) -> str:
    number, _, digits = header.partition(b" ")
    if not (number.isdigit() and digits.isdigit()):
        return "its record does not begin with its number and length"
    if number != b"%d" % seq:
        return f"event {number.decode()} stands in its place"
    return "its record is longer or shorter than it says"


def leaves(file: IO[bytes], count: int) -> list[bytes]:
    """The next `count` hashes of leaves.bin, or what there is. A last one may be cut off."""
    data = file.read(HASH_BYTES * count)
    return [data[start : start + HASH_BYTES] for start in range(0, len(data), HASH_BYTES)]


def rows(file: IO[bytes]) -> Iterator[bytes]:
    """The lines of media_items.jsonl."""
    rest = b""
    while more := file.read(CHUNK_BYTES):
        *whole, rest = (rest + more).split(b"\n")
        yield from whole
    if rest:
        yield rest


def notes(text: str) -> list[str]:
    """The notes of checkpoints.txt."""
    lines = text.split("\n")
    return ["\n".join(lines[at : at + 5]) + "\n" for at in range(0, len(lines) - 5, 6)]
