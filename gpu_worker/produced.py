"""An HLS output as a player finds it: playlists by the m3u8 library, segments by their bytes.

Nothing here is shared with what wrote the output.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import m3u8
import numpy as np

from gpu_worker.fragments import read_fragment, read_initialisation
from gpu_worker.transport import CLOCK_HZ, Segment, Ticks, after, read_segment
from gpu_worker.trickplay import IFrames, listed_iframes

LISTED_BYTES = 16 * 1024**2
"""Far more than the playlist of the longest film has."""


class NotPlayable(Exception):
    """Something a player needs is missing or is not what it should be; the text says what."""


@dataclass(frozen=True, eq=False)
class Listed:
    """A segment as its playlist has it, its size in bytes, and what is in it."""

    name: str
    seconds: float
    size: int
    content: Segment

    @property
    def times(self) -> Ticks:
        """When its pictures are shown, in order, from the first decoded one; without wraps."""
        shown = self.content.presented
        return np.sort(after(int(shown[0]), shown)) if len(shown) else shown


@dataclass(frozen=True, eq=False)
class Rendition:
    """A media playlist; `target_seconds` is None when it names none."""

    name: str
    segments: tuple[Listed, ...]
    target_seconds: int | None
    ended: bool
    kind: str | None
    version: int
    """Of the playlist; 1 when it names none."""
    mapped: bool
    """Whether it has an EXT-X-MAP."""

    @property
    def seconds(self) -> float:
        """Total length by the playlist."""
        return sum(segment.seconds for segment in self.segments)

    @property
    def boundaries(self) -> list[float]:
        """Where segments end, in seconds from the beginning."""
        ends = [0.0]
        for segment in self.segments:
            ends.append(ends[-1] + segment.seconds)
        return ends[1:]

    @property
    def has_picture(self) -> bool:
        """Whether there are pictures in it."""
        return any(len(segment.content.presented) for segment in self.segments)

    @property
    def frame_ticks(self) -> float | None:
        """The time from one picture to the next, by the first segment that has two."""
        for segment in self.segments:
            times = segment.times
            if len(times) > 1:
                return float(times[-1] - times[0]) / (len(times) - 1)
        return None

    @property
    def frame_rate(self) -> float | None:
        """Pictures a second, as measured."""
        ticks = self.frame_ticks
        return CLOCK_HZ / ticks if ticks else None

    def lasts(self, segment: Listed) -> float:
        """The length of a segment's content in seconds: of its pictures where there are any."""
        times = segment.times
        if len(times):
            frame = self.frame_ticks or segment.seconds * CLOCK_HZ
            return (float(times[-1] - times[0]) + frame) / CLOCK_HZ
        rate = max((adts.sample_rate_hz for adts in segment.content.adts), default=0)
        return sum(sounds.samples for sounds in segment.content.sounds) / max(rate, 1)

    def bits_per_second(self, segments: tuple[Listed, ...] | None = None) -> float:
        """The rate of some segments, or of all."""
        chosen = self.segments if segments is None else segments
        seconds = sum(segment.seconds for segment in chosen)
        return 8 * sum(segment.size for segment in chosen) / seconds if seconds else 0.0

    @property
    def peak_bits_per_second(self) -> float:
        """The highest rate of segments in a row that last 0.5 to 1.5 target durations (RFC 8216,
        4.1); of all where they are shorter."""
        return max(map(self.bits_per_second, self._runs()), default=self.bits_per_second())

    def _runs(self) -> Iterator[tuple[Listed, ...]]:
        target = self.target_seconds or 0
        for first in range(len(self.segments)):
            length = 0.0
            for last in range(first, len(self.segments)):
                length += self.segments[last].seconds
                if length > 1.5 * target:
                    break
                if length >= 0.5 * target:
                    yield self.segments[first : last + 1]


@dataclass(frozen=True, eq=False)
class Variant:
    """A line of the multivariant playlist: its attributes and what they promise."""

    name: str
    codecs: tuple[str, ...]
    bandwidth: int | None
    average_bandwidth: int | None
    resolution: tuple[int, int] | None
    frame_rate: float | None
    closed_captions: str | None
    media: Rendition
    sound: Rendition | None
    """Of the audio group it names."""
    names_missing_group: bool = False

    @property
    def parts(self) -> tuple[Rendition, ...]:
        """What a player of this variant downloads."""
        return (self.media,) if self.sound is None else (self.media, self.sound)


@dataclass(frozen=True, eq=False)
class Output:
    """Everything below an output's folder that players load."""

    variants: tuple[Variant, ...]
    independent_segments: bool
    preview: Rendition
    sounds: tuple[Rendition, ...] = field(default=())
    iframes: tuple[IFrames, ...] = field(default=())

    @property
    def renditions(self) -> tuple[Rendition, ...]:
        """Of the item itself, each once."""
        return (*dict.fromkeys(variant.media for variant in self.variants), *self.sounds)

    @property
    def everything(self) -> tuple[Rendition, ...]:
        """The item's renditions and the preview."""
        return (*self.renditions, self.preview)

    @property
    def every_segment(self) -> Iterator[tuple[Rendition, Listed]]:
        """The segments of everything, each with its rendition."""
        return ((rendition, s) for rendition in self.everything for s in rendition.segments)

    @property
    def pictures(self) -> tuple[Rendition, ...]:
        """Those with a picture."""
        return tuple(rendition for rendition in self.renditions if rendition.has_picture)


def load(folder: Path) -> Output:
    """Read every playlist and every segment once. Raises :class:`NotPlayable`."""
    master = _playlist(folder / "master.m3u8")
    if not master.playlists:
        raise NotPlayable("master.m3u8 lists no variant")
    groups = {
        media.group_id: _rendition(folder, media.uri)
        for media in master.media
        if media.type == "AUDIO" and media.uri
    }
    variants = tuple(_variants(folder, master, groups))
    preview = _rendition(folder, "preview/preview.m3u8")
    iframes = tuple(_iframes(folder, listed) for listed in master.iframe_playlists)
    independent = bool(master.is_independent_segments)
    return Output(variants, independent, preview, tuple(groups.values()), iframes)


def _variants(folder: Path, master: Any, groups: Mapping[str, Rendition]) -> Iterator[Variant]:
    for listed in master.playlists:
        told, group = listed.stream_info, listed.stream_info.audio
        yield Variant(
            name=listed.uri,
            codecs=tuple(told.codecs.split(",")) if told.codecs else (),
            bandwidth=told.bandwidth,
            average_bandwidth=told.average_bandwidth,
            resolution=told.resolution,
            frame_rate=told.frame_rate,
            closed_captions=told.closed_captions,
            media=_rendition(folder, listed.uri),
            sound=groups.get(group),
            names_missing_group=bool(group) and group not in groups,
        )


def _iframes(folder: Path, line: Any) -> IFrames:
    try:
        return listed_iframes(line, _playlist(folder / str(line.uri)))
    except (ValueError, TypeError) as error:
        raise NotPlayable(f"{line.uri}: {error}") from error


def _playlist(path: Path) -> Any:
    try:
        if path.stat().st_size > LISTED_BYTES:
            raise NotPlayable(f"{path.name} is too long")
        text = path.read_text()
        if not text.startswith("#EXTM3U"):
            raise NotPlayable(f"{path.name} does not begin with #EXTM3U")
        return m3u8.loads(text)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, m3u8.ParseError) as error:
        raise NotPlayable(f"{path.name} cannot be read: {_reason(error)}") from error


def _rendition(folder: Path, uri: str) -> Rendition:
    path = folder / uri
    playlist = _playlist(path)
    if not playlist.segments:
        raise NotPlayable(f"{uri} lists no segment")
    return Rendition(
        name=uri,
        segments=tuple(_listed(path.parent, segment) for segment in playlist.segments),
        target_seconds=playlist.target_duration,
        ended=bool(playlist.is_endlist),
        kind=playlist.playlist_type,
        version=int(playlist.version or 1),
        mapped=any(segment.init_section for segment in playlist.segments),
    )


def _listed(folder: Path, segment: Any) -> Listed:
    try:
        path = folder / str(segment.uri)
        content = _content(folder, path, segment.init_section)
        return Listed(str(segment.uri), float(segment.duration), path.stat().st_size, content)
    except (OSError, ValueError, TypeError) as error:
        raise NotPlayable(f"{segment.uri}: {_reason(error)}") from error


def _content(folder: Path, path: Path, mapped: Any) -> Segment:
    if mapped is None:
        return read_segment(path)
    return read_fragment(path, read_initialisation(folder / str(mapped.uri)))


def _reason(error: Exception) -> str:
    """Without this machine's paths."""
    return (error.strerror or "missing") if isinstance(error, OSError) else str(error)
