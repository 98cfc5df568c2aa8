"""I-frame playlists, for scrubbing: key frames of finished segments as byte ranges of them.

Nothing is encoded for them. Sources: RFC 8216, 4.3.3.6 (ranges and lengths) and 4.3.4.3 (lines of
the multivariant playlist); ISO/IEC 13818-1, 2.4.3 (random_access_indicator).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gpu_worker.conformance import NOT_PLAYABLE
from gpu_worker.contract import WorkerErrorCode
from gpu_worker.errors import JobFailed
from gpu_worker.playlist import MediaPlaylist, Segment, average_bps, peak_bps, target_duration
from gpu_worker.transport import CLOCK_HZ, PACKET_BYTES, later_by, stamp

RANDOM_ACCESS = 0x40
SUFFIX = "-iframes"


@dataclass(frozen=True)
class IFrame:
    """Bytes of a segment that hold one I-frame, and the seconds until the next one."""

    uri: str
    seconds: float
    offset: int
    size: int


@dataclass(frozen=True)
class IFramePlaylist:
    """The I-frames of one rendition, and what its line in the multivariant playlist tells."""

    rendition: str
    frames: tuple[IFrame, ...]
    codecs: str
    width: int
    height: int

    @property
    def uri(self) -> str:
        """The playlist's file name."""
        return f"{self.rendition}{SUFFIX}.m3u8"

    def render(self) -> str:
        """The playlist. Its target duration may differ from the renditions' (RFC 8216, 6.2.4)."""
        lines = [
            "#EXTM3U",
            "#EXT-X-VERSION:4",
            f"#EXT-X-TARGETDURATION:{self._target_seconds}",
            "#EXT-X-MEDIA-SEQUENCE:0",
            "#EXT-X-PLAYLIST-TYPE:VOD",
            "#EXT-X-I-FRAMES-ONLY",
        ]
        for frame in self.frames:
            lines.append(f"#EXTINF:{frame.seconds:.6f},")
            lines += [f"#EXT-X-BYTERANGE:{frame.size}@{frame.offset}", frame.uri]
        return "\n".join([*lines, "#EXT-X-ENDLIST", ""])

    def line(self) -> str:
        """Its line in the multivariant playlist."""
        return (
            f"#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH={peak_bps(self._ranges, self._target_seconds)},"
            f"AVERAGE-BANDWIDTH={average_bps(self._ranges)},"
            f'CODECS="{self.codecs}",RESOLUTION={self.width}x{self.height},URI="{self.uri}"'
        )

    @property
    def _ranges(self) -> MediaPlaylist:
        """The ranges as what they are to a player: segments."""
        ranges = (Segment(frame.uri, frame.seconds, frame.size) for frame in self.frames)
        return MediaPlaylist(self.rendition, tuple(ranges))

    @property
    def _target_seconds(self) -> int:
        return target_duration([self._ranges])


def make_iframes(
    folder: Path, video: MediaPlaylist, *, codecs: str, width: int, height: int
) -> IFramePlaylist:
    """Write the I-frame playlist of a finished rendition beside it.

    Raises `output_invalid` for a segment that does not begin with tables and a key frame.
    """
    try:
        frames = tuple(frame for segment in video.segments for frame in _frames(folder, segment))
    except ValueError as error:
        raise JobFailed(WorkerErrorCode.OUTPUT_INVALID, NOT_PLAYABLE, str(error)) from error
    made = IFramePlaylist(video.name, frames, codecs, width, height)
    (folder / made.uri).write_text(made.render())
    return made


def lines(playlists: Sequence[IFramePlaylist]) -> str:
    """What the multivariant playlist ends with, the highest rate first."""
    ordered = sorted(playlists, key=lambda made: made.width * made.height, reverse=True)
    return "".join(f"{made.line()}\n" for made in ordered)


def _frames(folder: Path, segment: Segment) -> Iterator[IFrame]:
    """Each from the first packet of its PES packet to the last: PAT and PMT stay before it.

    Players find those at the beginning of the file, and a range must not include them.
    """
    packets = np.fromfile(folder / segment.uri, dtype=np.uint8).reshape(-1, PACKET_BYTES)
    starts = np.flatnonzero(packets[:, 1] & 0x40)
    flagged = (packets[starts, 3] & 0x20 > 0) & (packets[starts, 4] > 0)
    keys = starts[flagged & (packets[starts, 5] & RANDOM_ACCESS > 0)].tolist()
    if not keys or not keys[0]:
        raise ValueError(f"{segment.uri} does not begin with tables and a key frame")
    pids = (packets[:, 1].astype(np.int32) & 0x1F) << 8 | packets[:, 2]
    mine = np.flatnonzero(pids == pids[keys[0]])
    pictures = mine[packets[mine, 1] & 0x40 > 0]
    times = [_presented(packets[key].tobytes()) for key in keys]
    begun = [later_by(time, times[0]) / CLOCK_HZ for time in times]
    for key, begins, ends in zip(keys, begun, [*begun[1:], segment.seconds], strict=True):
        following = pictures[pictures > key]
        until = following[0] if len(following) else math.inf
        last = int(mine[mine < until][-1])
        size = (last + 1 - key) * PACKET_BYTES
        yield IFrame(segment.uri, ends - begins, key * PACKET_BYTES, size)


def _presented(packet: bytes) -> int:
    """The presentation time in ticks of the PES packet that begins in a transport packet."""
    begin = 5 + packet[4]
    return stamp(packet[begin + 9 : begin + 14])
