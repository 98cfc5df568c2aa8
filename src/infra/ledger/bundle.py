"""The bundle an auditor takes away: one zip, readable with any tool. docs/audit.md specifies it.

format.txt                  which form all this has
events/000001.txt …         each event's hashed text, after a line `SEQ LENGTH`: stream by stream
media_items/000001.jsonl …  the projection of the same streams, one row a line
personal/000001.txt …       what their events commit to, unless it was erased
leaves.bin                  the events' hashes in the ledger's order, 32 bytes each
checkpoints.txt             every signed checkpoint, oldest first, with an empty line after each
key.txt                     the public key, for convenience: it proves nothing
"""

import mmap
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple, cast

from isal import isal_zlib

FORM_NAME = "format.txt"
FORM = b"codex-media.bundle.v3\n"
FORM_WITHOUT_PERSONAL = b"codex-media.bundle.v2\n"
"""The one before: its events have the personal fields in their payloads."""
LEAVES = "leaves.bin"
CHECKPOINTS = "checkpoints.txt"
KEY = "key.txt"
README = "README.txt"

FIELDS = 15
"""Lines of an event's text. The payload, the last, is JSON without line breaks."""
HASH_BYTES = 32
PART_BYTES = 1024 * 1024
"""Of events, after which the next stream begins a new part."""
MAX_PART_BYTES = 256 * 1024 * 1024
LENGTHS_AT = 26
"""In a member's local header: those of its name and of its extra field, which end it."""

README_TEXT = """\
The ledger of a codex-media service, for proof without the service.

Verify it with `codex-media audit verify THIS.zip --key PUBLIC_KEY --since AN_OLD_CHECKPOINT`,
with a key and a checkpoint that you have from elsewhere. docs/audit.md of codex-media describes
the format so that a second verifier can be written.

format.txt                  the name of that format
events/000001.txt …         every event, by media item and version: a line `SEQ LENGTH`, then LENGTH
                            bytes and a line feed. SEQ is its place in the ledger. SHA-256 over the
                            bytes is the event's hash.
media_items/000001.jsonl …  the state the service showed of the items in the part of the same
                            number, which must be the fold of their events
personal/000001.txt …       what those events commit to of what they say of a person: a line with
                            item, version, salt and fields for each. Missing where the item was
                            erased, which is an event.
leaves.bin                  the hashes of the events, in the order of their places, 32 bytes each:
                            the leaves of an RFC 6962 Merkle tree
checkpoints.txt             signed tree heads (c2sp.org/tlog-checkpoint), oldest first
key.txt                     the key the service says it signs with
"""


class BundleUnreadable(Exception):
    """The file is no bundle, or one from which nothing can be read."""

    code = "bundle_unreadable"


DAMAGED = (zipfile.BadZipFile, zlib.error, cast("type[Exception]", isal_zlib.error))
UNREADABLE = (*DAMAGED, KeyError, UnicodeDecodeError, EOFError)
"""What is raised where a part of the bundle is missing or damaged."""

_HEADER = re.compile(rb"([1-9]\d{0,17}) ([1-9]\d{0,17})\n")
_BEGINNING = re.compile(_HEADER.pattern + rb"codex-media\.event\.v1\n")
_PART = re.compile(r"(?:events|media_items|personal)/(\d{6,})\.(?:txt|jsonl)")


class Record(NamedTuple):
    """One event: its place, and the exact bytes that are hashed."""

    seq: int
    text: bytes

    def encoded(self) -> bytes:
        """The record as it stands in a part."""
        return b"%d %d\n%b\n" % (self.seq, len(self.text), self.text)


def events_of(part: int) -> str:
    """The member that holds the events of a part."""
    return f"events/{part:06}.txt"


def items_of(part: int) -> str:
    """The member that holds the rows of a part."""
    return f"media_items/{part:06}.jsonl"


def personal_of(part: int) -> str:
    """The member that holds the personal fields of a part."""
    return f"personal/{part:06}.txt"


def parts(archive: zipfile.ZipFile) -> range:
    """The numbers of the parts. There is at least one; some may be missing."""
    found = (_PART.fullmatch(name) for name in archive.namelist())
    return range(1, 1 + max((int(named[1]) for named in found if named), default=1))


def read(archive: zipfile.ZipFile, name: str) -> bytes:
    """A member as a whole.

    ISA-L inflates and checks in half the time of zlib, which was a fifth of a verification.
    """
    info = archive.getinfo(name)
    if info.file_size > MAX_PART_BYTES:
        raise BundleUnreadable(f"{name} is larger than {MAX_PART_BYTES} bytes")
    if archive.fp is None or info.compress_type != zipfile.ZIP_DEFLATED:
        return archive.read(name)
    archive.open(info).close()  # its local header is one
    archive.fp.seek(_begin(info, archive.fp))
    packed = archive.fp.read(info.compress_size)
    plain = isal_zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, info.file_size + 1)
    if len(plain) != info.file_size or isal_zlib.crc32(plain) != info.CRC:
        raise zipfile.BadZipFile(f"the checksum of {name} is wrong")
    return plain


def _begin(info: zipfile.ZipInfo, file: IO[bytes]) -> int:
    """Where the member's data begin: APPNOTE.TXT, section 4.3.7."""
    file.seek(info.header_offset + LENGTHS_AT)
    name, extra = struct.unpack("<HH", file.read(4))
    return int(info.header_offset + LENGTHS_AT + 4 + name + extra)


def records(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and text of each record of a part; number 0 where bytes are no record.

    After such, and what stands before it, reading goes on at the next that looks like a beginning.
    """
    at = text = 0
    while at < len(data):
        if header := _HEADER.match(data, at):
            number, length = header.groups()
            text = header.end()
            at = text + int(length) + 1
            if data[at - 1 : at] == b"\n":
                yield int(number), data[text : at - 1]
                continue
        yield 0, b""
        # What is wrong may be the line feed before this place, the length before that, or all.
        found = _BEGINNING.match(data, at) or _BEGINNING.search(data, text)
        at = found.start() if found else len(data)


def rows(data: bytes) -> list[bytes]:
    """The lines of the rows of a part."""
    lines = data.split(b"\n")
    return lines if lines[-1] else lines[:-1]


def personal(archive: zipfile.ZipFile, part: int) -> list[bytes]:
    """The lines of the personal fields of a part."""
    if archive.read(FORM_NAME) == FORM_WITHOUT_PERSONAL:
        return []
    return rows(read(archive, personal_of(part)))


def check_form(archive: zipfile.ZipFile) -> None:
    """`BundleUnreadable` for a bundle of another form."""
    form = archive.read(FORM_NAME)
    if form not in {FORM, FORM_WITHOUT_PERSONAL}:
        raise BundleUnreadable(f"its form is {form[:80]!r}, and this verifier reads {FORM!r}")


def size_of(archive: zipfile.ZipFile) -> int:
    """How many leaves there are."""
    size, rest = divmod(archive.getinfo(LEAVES).file_size, HASH_BYTES)
    if rest:
        raise BundleUnreadable(f"{LEAVES} ends within a hash")
    return size


def leaves(file: IO[bytes], count: int) -> list[bytes]:
    """The next `count` hashes of leaves.bin."""
    data = file.read(HASH_BYTES * count)
    if len(data) < HASH_BYTES * count:
        raise BundleUnreadable(f"{LEAVES} is shorter than it says")
    return [data[start : start + HASH_BYTES] for start in range(0, len(data), HASH_BYTES)]


class Leaves(NamedTuple):
    """leaves.bin: that of place N begins `begin + 32 * N` bytes into `data`."""

    data: bytes | mmap.mmap
    begin: int
    size: int
    """How many there are."""


@contextmanager
def open_leaves(archive: zipfile.ZipFile) -> Iterator[Leaves]:
    """All leaves, without reading them where they stand in a file as they are."""
    info = archive.getinfo(LEAVES)
    size = size_of(archive)
    if archive.filename is None or info.compress_type != zipfile.ZIP_STORED or not size:
        yield Leaves(archive.read(LEAVES), -HASH_BYTES, size)
        return
    with (
        Path(archive.filename).open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        archive.open(LEAVES).close()  # its local header is one
        yield Leaves(data, _begin(info, file) - HASH_BYTES, size)


def notes(text: str) -> list[str]:
    """The notes of checkpoints.txt."""
    lines = text.split("\n")
    return ["\n".join(lines[at : at + 5]) + "\n" for at in range(0, len(lines) - 5, 6)]
