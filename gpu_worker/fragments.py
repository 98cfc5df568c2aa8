"""Reads fragmented MP4 as HLS has it: an initialisation section, and segments of one fragment each.

Sources: ISO/IEC 14496-12 (boxes), 14496-15, 8.3.3 and annex E (hvcC, the codecs parameter); AV1
Codec ISO Media File Format Binding, 2.3 and 5 (av1C, the codecs parameter).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from gpu_worker.codecs import Described
from gpu_worker.objects import read_regular
from gpu_worker.transport import CLOCK_HZ, Segment

FULL_BOX, SAMPLE_ENTRY = 4, 78
"""Bytes of version and flags; of a visual sample entry before its own boxes."""
NOT_SYNC = 1 << 16
DATA_OFFSET, FIRST_FLAGS, DURATION, SIZE, FLAGS, OFFSET = 0x1, 0x4, 0x100, 0x200, 0x400, 0x800
HEAD_BASE, HEAD_ENTRY, HEAD_DURATION, HEAD_SIZE, HEAD_FLAGS = 0x1, 0x2, 0x8, 0x10, 0x20
LATEST = 2**48
"""Ticks; far beyond any film at any clock, and far within what can be calculated with."""
Boxes = list[tuple[str, bytes, int]]
"""Of each box its type, what is in it, and where that begins."""


@dataclass(frozen=True)
class Initialisation:
    """The pictures of a rendition, and their ticks a second."""

    described: Described
    clock_hz: int


def boxes(content: bytes, start: int = 0) -> Boxes:
    """The boxes that lie one after the other from `start`. ValueError where one is cut off."""
    found: Boxes = []
    while start < len(content):
        size = int.from_bytes(content[start : start + 4])
        if not 8 <= size <= len(content) - start:
            raise ValueError("a box is cut off")
        name = content[start + 4 : start + 8].decode("latin-1")
        found.append((name, content[start + 8 : start + size], start + 8))
        start += size
    return found


def _inside(content: bytes, *path: str) -> bytes:
    """What is in the first box at a path. ValueError where there is none."""
    for name in path:
        content = next((body for found, body, _ in boxes(content) if found == name), b"")
        if not content:
            raise ValueError(f"there is no {name}")
    return content


def read_initialisation(path: Path) -> Initialisation:
    """What an init section says. Raises OSError; ValueError when it is of neither HEVC nor AV1."""
    media = _inside(read_regular(path), "moov", "trak", "mdia")
    header = _inside(media, "mdhd")
    at = 20 if header[0] else 12
    described = _inside(media, "minf", "stbl", "stsd")
    name, entry, _ = next(iter(boxes(described, FULL_BOX + 4)), ("nothing", b"", 0))
    if name not in READERS or len(entry) < SAMPLE_ENTRY:
        raise ValueError(f"the pictures are {name}")
    clock_hz = int.from_bytes(header[at : at + 4])
    if not clock_hz:
        raise ValueError("its clock stands still")
    return Initialisation(READERS[name](entry), clock_hz)


class _Common(TypedDict):
    width: int
    height: int
    square_pixels: bool
    full_range: bool
    primaries: int | None
    transfer: int | None
    matrix: int | None


def _record(entry: bytes, kind: str, size: int) -> tuple[bytes, _Common]:
    """A codec's own box of a sample entry, and what stands there for any codec."""
    parts = {name: body for name, body, _ in boxes(entry, SAMPLE_ENTRY)}
    record = parts.get(kind, b"")
    if len(record) < size:
        raise ValueError(f"there is no {kind}")
    colours, pixels = parts.get("colr", b""), parts.get("pasp", b"")
    told = colours[:4] == b"nclx" and len(colours) > 10
    numbers = [int.from_bytes(colours[at : at + 2]) if told else None for at in (4, 6, 8)]
    return record, _Common(
        width=int.from_bytes(entry[24:26]),
        height=int.from_bytes(entry[26:28]),
        square_pixels=not pixels or pixels[:4] == pixels[4:8],
        full_range=told and bool(colours[10] & 0x80),
        primaries=numbers[0],
        transfer=numbers[1],
        matrix=numbers[2],
    )


def _hevc(entry: bytes) -> Described:
    record, common = _record(entry, "hvcC", 23)
    return Described(
        codec="hevc",
        codecs=hevc_codecs(record),
        profile=record[1] & 0x1F,
        level=record[12],
        # general_progressive_source_flag, and not general_interlaced_source_flag
        progressive=record[6] >> 6 == 0b10,
        **common,
    )


def _av1(entry: bytes) -> Described:
    record, common = _record(entry, "av1C", 4)
    return Described(
        codec="av1",
        codecs=av1_codecs(record),
        profile=record[1] >> 5,
        level=record[1] & 0x1F,
        progressive=True,  # there is nothing else in AV1
        **common,
    )


READERS: dict[str, Callable[[bytes], Described]] = {"hvc1": _hevc, "av01": _av1}
"""By the name of their sample entry."""


def av1_codecs(record: bytes) -> str:
    """What an av1C tells: profile, level and tier, bits of a sample."""
    tier = "H" if record[2] & 0x80 else "M"
    bits = 8 if not record[2] & 0x40 else 12 if record[2] & 0x20 else 10
    return f"av01.{record[1] >> 5}.{record[1] & 0x1F:02}{tier}.{bits:02}"


def hevc_codecs(record: bytes) -> str:
    """RFC 6381's name of what an hvcC tells.

    Its parts: profile, compatibility with its bits reversed, tier and level, constraints.
    """
    space, tier = record[1] >> 6, "H" if record[1] & 0x20 else "L"
    compatible = int(f"{int.from_bytes(record[2:6]):032b}"[::-1], 2)
    constraints = record[6:12].rstrip(b"\x00")
    profile = f"{' ABC'[space].strip()}{record[1] & 0x1F}"
    parts = ("hvc1", profile, f"{compatible:X}", f"{tier}{record[12]}")
    return ".".join([*parts, *(f"{byte:X}" for byte in constraints)])


def read_fragment(path: Path, initialisation: Initialisation) -> Segment:
    """The pictures of a segment. Raises OSError; ValueError when it has not one fragment."""
    fragments = [body for name, body, _ in boxes(read_regular(path)) if name == "moof"]
    if len(fragments) != 1:
        raise ValueError(f"it has {len(fragments)} fragments")
    track = _inside(fragments[0], "traf")
    time = _inside(track, "tfdt")
    begins = int.from_bytes(time[4:12] if time[0] else time[4:8])
    if begins > LATEST:
        raise ValueError("it begins at no time that there is")
    durations, offsets, sync = _samples(_inside(track, "tfhd"), _inside(track, "trun"))
    decoded = begins + np.cumsum(durations) - durations
    clock = CLOCK_HZ / initialisation.clock_hz
    return Segment(
        presented=np.rint((decoded + offsets) * clock).astype(np.int64),
        decoded=np.rint(decoded * clock).astype(np.int64),
        idr=sync,
        extents=np.zeros((len(sync), 2), dtype=np.int64),  # I-frame playlists list no fragments
        sps=frozenset({initialisation.described}),
        sounds=(),
        adts=frozenset(),
        counters={},
        counters_in_order=True,
        begins_with_tables=True,
    )


def _samples(
    head: bytes, run: bytes
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Of each sample in a run its duration, how much later it is shown, and whether it is sync."""
    head_flags, defaults = int.from_bytes(head[1:4]), list(_defaults(head))
    flags, count = int.from_bytes(run[1:4]), int.from_bytes(run[4:8])
    at = 8 + 4 * bool(flags & DATA_OFFSET)
    first = int.from_bytes(run[at : at + 4]) if flags & FIRST_FLAGS else None
    at += 4 * (first is not None)
    names = [name for name in (DURATION, SIZE, FLAGS, OFFSET) if flags & name]
    if not names:  # and nothing would bound their number
        raise ValueError("nothing is told of the pictures")
    table = np.frombuffer(run, ">u4", count * len(names), at).reshape(count, len(names))
    columns = {name: table[:, number].astype(np.int64) for number, name in enumerate(names)}
    same = dict(zip((HEAD_DURATION, HEAD_FLAGS), defaults, strict=True))
    if DURATION not in columns and not head_flags & HEAD_DURATION:
        raise ValueError("the pictures have no length")
    marks = columns.get(FLAGS, np.full(count, same[HEAD_FLAGS]))
    if first is not None:
        marks = np.concatenate([[first], marks[1:]])
    later = columns.get(OFFSET, np.zeros(count, np.int64))
    signed = np.where(later >= 2**31, later - 2**32, later) if run[0] else later
    durations = columns.get(DURATION, np.full(count, same[HEAD_DURATION]))
    return durations, signed, (marks & NOT_SYNC) == 0


def _defaults(head: bytes) -> Iterator[int]:
    """A track's default duration and flags, 0 where it names none."""
    flags, at = int.from_bytes(head[1:4]), FULL_BOX + 4
    at += 8 * bool(flags & HEAD_BASE) + 4 * bool(flags & HEAD_ENTRY)
    for field in (HEAD_DURATION, HEAD_SIZE, HEAD_FLAGS):
        value = int.from_bytes(head[at : at + 4]) if flags & field else 0
        at += 4 * bool(flags & field)
        if field != HEAD_SIZE:
            yield value


def move(path: Path, ticks: int) -> None:
    """Let a segment begin later: its tfdt (and sidx) say another time. ValueError before zero."""
    content = bytearray(read_regular(path))
    for name, body, at in boxes(bytes(content)):
        if name == "sidx":
            _add(content, at + FULL_BOX + 8, 8 if body[0] else 4, ticks)
        if name == "moof":
            for inner, track, start in boxes(body):
                if inner == "traf":
                    _move_track(content, track, at + start, ticks)
    path.unlink()
    with path.open("xb") as changed:  # no link is followed
        changed.write(content)


def _move_track(content: bytearray, track: bytes, at: int, ticks: int) -> None:
    for name, body, start in boxes(track):
        if name == "tfdt":
            _add(content, at + start + FULL_BOX, 8 if body[0] else 4, ticks)


def _add(content: bytearray, at: int, size: int, ticks: int) -> None:
    value = int.from_bytes(content[at : at + size]) + ticks
    if not 0 <= value < 1 << 8 * size:
        raise ValueError("a segment would begin at no time that there is")
    content[at : at + size] = value.to_bytes(size)
