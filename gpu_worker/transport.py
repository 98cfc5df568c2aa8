"""Reads a transport stream segment once: its pictures, its sound, its counters.

Source: ISO/IEC 13818-1, 2.4.3 (packets, adaptation fields, PES). Packets are looked at as one
array, and pictures kept as arrays: a film of two hours has millions of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gpu_worker.codecs import (
    NAL_IDR,
    NAL_SPS,
    SAMPLES_PER_AAC_FRAME,
    SLICES,
    Adts,
    Described,
    Sps,
    adts_frames,
    nal_units,
    parse_sps,
)

CLOCK_HZ = 90_000
WRAP = 2**33
PACKET_BYTES = 188
SYNC_BYTE = 0x47
PAT_PID, NULL_PID = 0, 0x1FFF
VIDEO_STREAMS, AUDIO_STREAMS = range(0xE0, 0xF0), range(0xC0, 0xE0)
FIRST_PACKETS = 2
"""Most pictures begin within so many packets; those after parameter sets and messages later."""
Packets = npt.NDArray[np.uint8]
Ticks = npt.NDArray[np.int64]
"""Times of 1/90000 s; of 33 bits, after which they begin anew."""


@dataclass(frozen=True)
class Sounds:
    """The AAC frames of one PES packet; `presented` is the first one's time in ticks."""

    presented: int
    frames: int
    samples: int


@dataclass(frozen=True, eq=False)
class Segment:
    """What is in one segment. Pictures are in decoding order: when they are shown and decoded,
    which of them are IDR, and where in the file the packets of each begin and end, shape (n, 2).
    `counters`: by PID, the first and the last continuity counter."""

    presented: Ticks
    decoded: Ticks
    idr: npt.NDArray[np.bool_]
    extents: npt.NDArray[np.int64]
    sps: frozenset[Sps | Described]
    sounds: tuple[Sounds, ...]
    adts: frozenset[Adts]
    counters: dict[int, tuple[int, int]]
    counters_in_order: bool
    begins_with_tables: bool

    @property
    def codecs(self) -> str:
        """RFC 6381's name of the video. ValueError where there is none."""
        for sps in self.sps:
            return sps.codecs
        raise ValueError("the segment has no parameter set of pictures")


def read_segment(path: Path) -> Segment:
    """Everything in the segment. Raises OSError; ValueError when it is no transport stream."""
    content = np.fromfile(path, dtype=np.uint8)
    if not len(content) or len(content) % PACKET_BYTES:
        raise ValueError("it is not made of whole transport packets")
    packets = content.reshape(-1, PACKET_BYTES)
    if (packets[:, 0] != SYNC_BYTE).any():
        raise ValueError("it is not a transport stream")
    streams = _Streams(packets)
    presented, decoded, idr, extents, sps = _pictures(streams)
    sounds, adts = _sounds(streams)
    counters, in_order = streams.counters()
    begins_well = streams.begins_with_tables()
    return Segment(
        presented, decoded, idr, extents, sps, sounds, adts, counters, in_order, begins_well
    )


class _Streams:
    """The packets of a segment by what they carry."""

    def __init__(self, packets: Packets) -> None:
        self._packets = packets
        self._pids = (packets[:, 1].astype(np.int32) & 0x1F) << 8 | packets[:, 2]
        control = packets[:, 3] >> 4 & 3
        self._carries = (control & 1).astype(bool)
        skipped = np.where(control & 2, 5 + packets[:, 4].astype(np.int32), 4)
        self._starts = np.minimum(skipped, PACKET_BYTES)
        self._begins = (packets[:, 1] & 0x40).astype(bool)

    def of(self, kinds: range) -> list[list[int]]:
        """The units of the first stream of a kind: for each the numbers of its packets."""
        for first in np.flatnonzero(self._begins & self._carries):
            head = self.payload([int(first)])
            if head[:3] == b"\x00\x00\x01" and head[3] in kinds:
                mine = np.flatnonzero((self._pids == self._pids[first]) & self._carries)
                cuts = np.flatnonzero(self._begins[mine])
                return [part.tolist() for part in np.split(mine, cuts) if len(part)]
        return []

    def payload(self, numbers: Sequence[int]) -> bytes:
        """What these packets carry."""
        return b"".join(
            self._packets[number, self._starts[number] :].tobytes() for number in numbers
        )

    def begins_with_tables(self) -> bool:
        """Whether a PAT and the PMT it names come before any picture or sound."""
        ordered = [pid for pid in self._pids[:16].tolist() if pid != NULL_PID]
        if PAT_PID not in ordered:
            return False
        table = self.payload([self._pids.tolist().index(PAT_PID)])
        program = int.from_bytes(table[11:13]) & 0x1FFF
        media = [
            number
            for number, pid in enumerate(self._pids[:16].tolist())
            if self._begins[number] and self.payload([number])[:3] == b"\x00\x00\x01"
        ]
        before = self._pids[: media[0] if media else 16].tolist()
        return PAT_PID in before and program in before

    def counters(self) -> tuple[dict[int, tuple[int, int]], bool]:
        """By PID the first and the last counter, and whether all go up by one."""
        ends: dict[int, tuple[int, int]] = {}
        in_order = True
        counters = self._packets[:, 3] & 15
        for pid in np.unique(self._pids[self._carries]).tolist():
            if pid == NULL_PID:
                continue
            mine = counters[(self._pids == pid) & self._carries].astype(np.int32)
            in_order = in_order and bool((np.diff(mine) % 16 == 1).all())
            ends[pid] = int(mine[0]), int(mine[-1])
        return ends, in_order


def _pictures(
    streams: _Streams,
) -> tuple[Ticks, Ticks, npt.NDArray[np.bool_], npt.NDArray[np.int64], frozenset[Sps]]:
    times, idr, sets = list[tuple[int, int]](), list[bool](), dict[bytes, Sps]()
    extents = list[tuple[int, int]]()
    for unit in streams.of(VIDEO_STREAMS):
        presented, decoded, body = _opened(streams.payload(unit[:FIRST_PACKETS]))
        nals = nal_units(body)
        if not any(nal[0] & 0x1F in SLICES for nal in nals):
            nals = nal_units(_opened(streams.payload(unit))[2])
        for nal in nals:
            if nal[0] & 0x1F == NAL_SPS and nal not in sets:
                sets[nal] = parse_sps(nal)
        kind = next((nal[0] & 0x1F for nal in nals if nal[0] & 0x1F in SLICES), None)
        times.append((presented, decoded))
        idr.append(kind == NAL_IDR)
        extents.append((unit[0] * PACKET_BYTES, (unit[-1] + 1) * PACKET_BYTES))
    ticks = np.array(times, dtype=np.int64).reshape(-1, 2)
    places = np.array(extents, dtype=np.int64).reshape(-1, 2)
    found = np.array(idr, dtype=np.bool_)
    return ticks[:, 0], ticks[:, 1], found, places, frozenset(sets.values())


def _sounds(streams: _Streams) -> tuple[tuple[Sounds, ...], frozenset[Adts]]:
    sounds, kinds = list[Sounds](), set[Adts]()
    for unit in streams.of(AUDIO_STREAMS):
        presented, _, body = _opened(streams.payload(unit))
        frames = list(adts_frames(body))
        kinds.update(frames)
        sounds.append(Sounds(presented, len(frames), len(frames) * SAMPLES_PER_AAC_FRAME))
    return tuple(sounds), frozenset(kinds)


def _opened(packet: bytes) -> tuple[int, int, bytes]:
    """Presentation and decoding time of a PES packet, and its content. ValueError without times."""
    if len(packet) < 14 or packet[:3] != b"\x00\x00\x01" or not packet[7] & 0x80:
        raise ValueError("a picture or sound has no time stamp")
    presented = stamp(packet[9:14])
    decoded = stamp(packet[14:19]) if packet[7] & 0x40 else presented
    return presented, decoded, packet[9 + packet[8] :]


def stamp(field: bytes) -> int:
    """A time of a PES header, in ticks."""
    return (
        (field[0] >> 1 & 7) << 30
        | field[1] << 22
        | (field[2] >> 1) << 15
        | field[3] << 7
        | field[4] >> 1
    )


def after(first: int, times: Ticks) -> Ticks:
    """Ticks from `first` to each of `times`, over the wrap of their 33 bits."""
    ticks: Ticks = (times - first + WRAP // 2) % WRAP - WRAP // 2
    return ticks


def later_by(later: int, earlier: int) -> int:
    """Ticks from one time to another, over the wrap of their 33 bits."""
    return (later - earlier + WRAP // 2) % WRAP - WRAP // 2
