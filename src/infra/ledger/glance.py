"""Whether all of a part is right: asked column by column, which is far quicker than one by one.

Nothing is said about what is wrong; `history` then walks through the part, event by event. What is
taken for right here is right there too.
"""

import re
from binascii import hexlify
from copy import copy
from hashlib import sha256
from itertools import accumulate, pairwise
from operator import add

from infra.ledger.bundle import FIELDS, HASH_BYTES, Leaves
from infra.ledger.fold import FIRST, READERS, Committing, Erased, Unfoldable
from infra.ledger.personal import Disclosure, Records
from infra.ledger.projection import read_row
from infra.ledger.row import EMPTY, Row
from infra.ledger.stream import FORM, moment

LINES = 1 + FIELDS
"""Of a record. Line 0 is its number and length, and line N of the event's text is N."""
VERSIONS = [b"%d" % version for version in range(1, 65)]
"""A longer stream is walked through."""
COMMITTING_OR_ERASED = Committing | Erased
_NUMBERS = re.compile(rb"(?:[1-9][0-9]{0,17} [1-9][0-9]{0,17}\n)*")


class Doubtful(Exception):
    """Something is wrong in the part, or unusual."""


def places_of(part: bytes, rows: list[bytes], personal: list[bytes], leaves: Leaves) -> list[int]:
    """The places of the events of a part, if they, the rows and what they commit to are right.

    `Doubtful` otherwise.
    """
    lines = part.split(b"\n")
    if len(lines) % LINES != 1 or lines.pop():
        raise Doubtful
    try:
        places, texts = _records(part, lines[::LINES])
        digests = [sha256(text).digest() for text in texts]
        records = Records(personal)
        if (
            lines[1::LINES].count(FORM) != len(places)
            or digests != _leaves_at(places, leaves)
            or [read_row(row) for row in rows] != _rows(lines, places, digests, records)
        ):
            raise Doubtful
        records.end()
        if records.wrong:
            raise Doubtful
    except (ValueError, LookupError, RecursionError, Unfoldable) as error:
        raise Doubtful from error
    return places


def _records(part: bytes, headers: list[bytes]) -> tuple[list[int], list[bytes]]:
    """The places and texts of records with these first lines, if they are all of the part."""
    numbers = b"\n".join([*headers, b""])
    if not _NUMBERS.fullmatch(numbers):
        raise Doubtful
    told = [*map(int, numbers.split())]
    places, lengths = told[::2], told[1::2]
    ends = [*accumulate(map(add, map(len, headers), lengths))]
    ends = [end + 2 * number for number, end in enumerate(ends, 1)]  # and two line feeds each
    texts = [part[end - length - 1 : end - 1] for end, length in zip(ends, lengths, strict=True)]
    # Each has the lines that `part` was split into: what is hashed is what is read.
    if (
        [text.count(b"\n") for text in texts] != [FIELDS - 1] * len(texts)
        or [part[end - 1 : end] for end in ends].count(b"\n") != len(texts)
        or len(part) != (ends[-1] if ends else 0)
    ):
        raise Doubtful
    return places, texts


def _leaves_at(places: list[int], leaves: Leaves) -> list[bytes]:
    data, begin, size = leaves
    if places and not 0 < min(places) <= max(places) <= size:
        raise Doubtful
    starts = [begin + HASH_BYTES * place for place in places]
    return [data[start : start + HASH_BYTES] for start in starts]


def _rows(
    lines: list[bytes], places: list[int], digests: list[bytes], records: Records
) -> list[Row]:
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
        disclosure = Disclosure(stream, records)
        for version, (kind, schema_version, payload) in enumerate(told[begin:end], 1):
            event = READERS[kind, schema_version](payload)
            event.set(row)
            if isinstance(event, COMMITTING_OR_ERASED):
                disclosure.take(version, version, event, row)
        if disclosure.wrong():
            raise Doubtful
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
