"""Whether all of a part is right: asked column by column, which is far quicker than one by one.

Nothing is said about what is wrong; `history` then walks through the part, event by event. What is
taken for right here is right there too.
"""

from binascii import hexlify
from copy import copy
from hashlib import sha256
from itertools import pairwise

from infra.ledger.bundle import FIELDS, HASH_BYTES, Leaves
from infra.ledger.fold import EMPTY, FIRST, READERS, Row
from infra.ledger.projection import read_row
from infra.ledger.stream import FORM, moment

LINES = 1 + FIELDS
"""Of a record. Line 0 is its number and length, and line N of the event's text is N."""
VERSIONS = [b"%d" % version for version in range(1, 65)]
"""A longer stream is walked through."""


class Doubtful(Exception):
    """Something is wrong in the part, or unusual."""


def places_of(part: bytes, rows: list[bytes], leaves: Leaves) -> list[int]:
    """The places of the events of a part, if they and the rows are right; else `Doubtful`."""
    lines = part.split(b"\n")
    if len(lines) % LINES != 1 or lines.pop():
        raise Doubtful
    try:
        places = [*map(int, b" ".join(lines[::LINES]).split(b" ")[::2])]
        texts = [b"\n".join(lines[at : at + FIELDS]) for at in range(1, len(lines), LINES)]
        digests = [sha256(text).digest() for text in texts]
        headers = [b"%d %d" % (place, len(text)) for place, text in zip(places, texts, strict=True)]
        if (
            lines[::LINES] != headers
            or lines[1::LINES].count(FORM) != len(places)
            or digests != _leaves_at(places, leaves)
            or [read_row(row) for row in rows] != _rows(lines, places, digests)
        ):
            raise Doubtful
    except (ValueError, LookupError, RecursionError) as error:
        raise Doubtful from error
    return places


def _leaves_at(places: list[int], leaves: Leaves) -> list[bytes]:
    data, begin, size = leaves
    if places and not 0 < min(places) <= max(places) <= size:
        raise Doubtful
    starts = [begin + HASH_BYTES * place for place in places]
    return [data[start : start + HASH_BYTES] for start in starts]


def _rows(lines: list[bytes], places: list[int], digests: list[bytes]) -> list[Row]:
    """What the streams fold to, if all are chains."""
    streams, versions, recorded = (lines[column::LINES] for column in (2, 3, 13))
    told = [*zip(lines[5::LINES], lines[6::LINES], lines[15::LINES], strict=True)]
    begins = [at for at, version in enumerate(versions) if version == VERSIONS[0]]
    hashes = hexlify(b"".join(digests))
    named = [b"", *(hashes[at : at + 64] for at in range(0, len(hashes) - 64, 64))]
    expected: list[bytes] = []
    rows: list[Row] = []
    before = b""
    for begin, end in pairwise([*begins, len(versions)]):
        stream = streams[begin]
        if (
            streams[begin:end].count(stream) != end - begin
            or stream <= before
            or told[begin][0] != FIRST
            or places[begin:end] != sorted(places[begin:end])
        ):
            raise Doubtful
        before = stream
        named[begin] = b""
        expected += VERSIONS[: end - begin]
        row = copy(EMPTY)
        for kind, schema_version, payload in told[begin:end]:
            READERS[kind, schema_version](payload).set(row)
        row.id, row.version = stream.decode(), end - begin
        row.created_at, row.updated_at = moment(recorded[begin]), moment(recorded[end - 1])
        rows.append(row)
    if not (
        versions == expected
        and lines[14::LINES] == named[: len(versions)]
        and lines[5::LINES].count(FIRST) == len(begins)
    ):
        raise Doubtful
    return rows
