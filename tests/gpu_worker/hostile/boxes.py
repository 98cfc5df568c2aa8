"""Edits of MP4 boxes: ISO/IEC 14496-12."""

import struct

MVHD_TIMESCALE, MVHD_DURATION = 12, 16
TKHD_MATRIX, TKHD_WIDTH = 40, 76
FIRST_COUNT, FIRST_ENTRY = 4, 8
SAMPLE_ENTRY_SIZE = 24
CONTAINERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"dinf"})


def u16(*values: int) -> bytes:
    """Big-endian."""
    return struct.pack(f">{len(values)}H", *values)


def u32(*values: int) -> bytes:
    """Big-endian."""
    return struct.pack(f">{len(values)}I", *values)


def box(kind: str, *parts: bytes) -> bytes:
    """A box whose length is right."""
    content = b"".join(parts)
    return u32(len(content) + 8) + kind.encode() + content


def full(kind: str, *parts: bytes) -> bytes:
    """A box with version and flags, both 0."""
    return box(kind, u32(0), *parts)


def patched(film: bytes, kind: str, offset: int, value: bytes) -> bytes:
    """`film` with `value` at `offset` behind the name of every box of this kind."""
    name, at = kind.encode(), film.index(kind.encode())
    edited = bytearray(film)
    while at >= 0:
        begin = at + 4 + offset
        edited[begin : begin + len(value)] = value
        at = film.find(name, at + 4)
    return bytes(edited)


def sized(film: bytes, kind: str, size: int) -> bytes:
    """`film` whose first box of this kind claims another length."""
    return patched(film, kind, -8, u32(size))


def with_references(film: bytes, *entries: bytes) -> bytes:
    """`film` whose tracks lie in other files."""
    wanted = full("dref", u32(len(entries)), *entries)

    def rewritten(content: bytes) -> bytes:
        made, at = b"", 0
        while at + 8 <= len(content):
            size, kind = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
            inner = content[at + 8 : at + size]
            if kind == b"dref":
                made += wanted
            elif kind in CONTAINERS:
                made += box(kind.decode(), rewritten(inner))
            else:
                made += content[at : at + size]
            at += size
        return made

    return rewritten(film)
