"""I-frame playlists of an output as a player finds them, and the rules of HLS for them.

Nothing here is shared with what wrote them: I-frames are told by their NAL units.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ListedRange:
    """One entry: bytes of a segment, the length of which the playlist gives in seconds."""

    name: str
    seconds: float
    offset: int
    size: int


@dataclass(frozen=True)
class IFrames:
    """An I-frame playlist and its line in the multivariant one."""

    name: str
    bandwidth: int | None
    codecs: str | None
    resolution: tuple[int, int] | None
    ranges: tuple[ListedRange, ...]
    target_seconds: int | None
    only_iframes: bool
    finished: bool
    """Ended, and of type VOD."""

    @property
    def peak_bits_per_second(self) -> float:
        """The highest rate of ranges in a row that last 0.5 to 1.5 target durations."""
        return max(map(_rate, self._runs()), default=_rate(self.ranges))

    def _runs(self) -> Iterator[Sequence[ListedRange]]:
        target = self.target_seconds or 0
        for first in range(len(self.ranges)):
            for last in range(first + 1, len(self.ranges) + 1):
                run = self.ranges[first:last]
                length = sum(entry.seconds for entry in run)
                if length > 1.5 * target:
                    break
                if length >= 0.5 * target:
                    yield run


def listed_iframes(line: Any, playlist: Any) -> IFrames:
    """A line of the multivariant playlist and what it names, both as the m3u8 library has them.

    Raises ValueError or TypeError for an entry without a length or without a range of bytes.
    """
    told = line.iframe_stream_info
    return IFrames(
        name=line.uri,
        bandwidth=told.bandwidth,
        codecs=told.codecs,
        resolution=told.resolution,
        ranges=tuple(_range(entry) for entry in playlist.segments),
        target_seconds=playlist.target_duration,
        only_iframes=bool(playlist.is_i_frames_only),
        finished=bool(playlist.is_endlist) and playlist.playlist_type == "vod",
    )


def _range(entry: Any) -> ListedRange:
    size, _, offset = str(entry.byterange).partition("@")
    return ListedRange(str(entry.uri), float(entry.duration), int(offset), int(size))


def _rate(ranges: Sequence[ListedRange]) -> float:
    seconds = sum(entry.seconds for entry in ranges)
    return 8 * sum(entry.size for entry in ranges) / seconds if seconds else 0.0


def by_segment(iframes: IFrames) -> Mapping[str, list[ListedRange]]:
    """The entries of each segment."""
    found: dict[str, list[ListedRange]] = {}
    for entry in iframes.ranges:
        found.setdefault(entry.name, []).append(entry)
    return found
