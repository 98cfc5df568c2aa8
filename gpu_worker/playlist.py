"""HLS playlists: reading what ffmpeg wrote, measuring it, and writing what players get.

Sources: RFC 8216; Apple, "HLS Authoring Specification for Apple Devices" (rules in brackets).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gpu_worker.codecs import AAC_LC

FIRST_VARIANT_BPS = 2_000_000
"""A player starts with the first variant [1.32]."""


@dataclass(frozen=True)
class Segment:
    """One media segment: its file name, EXTINF in seconds and size in bytes."""

    uri: str
    seconds: float
    size: int


@dataclass(frozen=True)
class MediaPlaylist:
    """One rendition as produced, its segments in order."""

    name: str
    segments: tuple[Segment, ...]
    initialisation: str | None = None
    """The file name of its EXT-X-MAP, in fragmented MP4."""

    @property
    def uri(self) -> str:
        """The playlist's file name."""
        return f"{self.name}.m3u8"

    @property
    def seconds(self) -> float:
        """Total length."""
        return math.fsum(segment.seconds for segment in self.segments)

    @property
    def longest_segment_seconds(self) -> float:
        """The length of its longest segment."""
        return max(segment.seconds for segment in self.segments)


@dataclass(frozen=True)
class Variant:
    """One line of the multivariant playlist; rates include its audio rendition."""

    playlist: MediaPlaylist
    codecs: str
    bandwidth_bps: int
    average_bandwidth_bps: int
    width: int | None = None
    height: int | None = None
    frame_rate: float | None = None
    audio: MediaPlaylist | None = None


def read_media_playlist(path: Path) -> MediaPlaylist:
    """What ffmpeg wrote, with the sizes of the segments beside it.

    Raises ValueError when it lists no segment or is not ended, OSError when a file is missing.
    """
    lines = path.read_text().splitlines()
    seconds = [float(line[8:].split(",")[0]) for line in lines if line.startswith("#EXTINF:")]
    uris = [line for line in lines if line and not line.startswith("#")]
    if not uris or len(uris) != len(seconds) or "#EXT-X-ENDLIST" not in lines:
        raise ValueError(f"{path.name} is not a finished media playlist")
    names = [uri.rsplit("/", 1)[-1] for uri in uris]
    return MediaPlaylist(
        path.stem,
        tuple(
            Segment(name, length, (path.parent / name).stat().st_size)
            for name, length in zip(names, seconds, strict=True)
        ),
    )


def join_tail(folder: Path, playlist: MediaPlaylist, count: int) -> MediaPlaylist:
    """`playlist` with its last segments put together, so that there are `count` at most [8.22].

    Sound starts an AAC frame before the picture: of a film of 12 s the last frame of it would be
    a segment of its own. Pieces of one transport stream, put together, are that stream.
    """
    kept, tail = playlist.segments[:count], playlist.segments[count:]
    if not tail:
        return playlist
    with (folder / kept[-1].uri).open("ab") as whole:
        for piece in tail:
            whole.write((folder / piece.uri).read_bytes())
            (folder / piece.uri).unlink()
    joined = Segment(
        kept[-1].uri,
        math.fsum(segment.seconds for segment in (kept[-1], *tail)),
        sum(segment.size for segment in (kept[-1], *tail)),
    )
    return MediaPlaylist(playlist.name, (*kept[:-1], joined))


def target_duration(playlists: Iterable[MediaPlaylist]) -> int:
    """One EXT-X-TARGETDURATION for all renditions [8.2]; every EXTINF rounds to no more."""
    longest = max(playlist.longest_segment_seconds for playlist in playlists)
    return max(1, math.floor(longest + 0.5))


def render_media(playlist: MediaPlaylist, target_seconds: int) -> str:
    """A finished media playlist. EXT-X-MAP is known since version 6 (RFC 8216, 7)."""
    mapped = playlist.initialisation
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:3" if mapped is None else "#EXT-X-VERSION:6",
        f"#EXT-X-TARGETDURATION:{target_seconds}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        "#EXT-X-PLAYLIST-TYPE:VOD",
        *([] if mapped is None else [f'#EXT-X-MAP:URI="{mapped}"']),
    ]
    for segment in playlist.segments:
        lines += [f"#EXTINF:{segment.seconds:.6f},", segment.uri]
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""])


def peak_bps(playlist: MediaPlaylist, target_seconds: int) -> int:
    """The peak segment bit rate (RFC 8216, 4.1): the highest over any run of segments that lasts
    between 0.5 and 1.5 target durations, or over the whole when it is shorter than that.
    """
    rates = [_bps(run) for run in _runs(playlist.segments, target_seconds)]
    return math.ceil(max(rates, default=_bps(playlist.segments)))


def average_bps(playlist: MediaPlaylist) -> int:
    """All bytes over the whole length."""
    return math.ceil(_bps(playlist.segments))


def _runs(segments: Sequence[Segment], target_seconds: int) -> Iterable[Sequence[Segment]]:
    for start in range(len(segments)):
        length = 0.0
        for end in range(start, len(segments)):
            length += segments[end].seconds
            if length > 1.5 * target_seconds:
                break
            if length >= 0.5 * target_seconds:
                yield segments[start : end + 1]


def _bps(segments: Sequence[Segment]) -> float:
    return 8 * sum(s.size for s in segments) / math.fsum(s.seconds for s in segments)


def measured_variant(
    video: MediaPlaylist,
    target_seconds: int,
    *,
    video_codecs: str,
    width: int,
    height: int,
    frame_rate: float,
    audio: MediaPlaylist | None,
) -> Variant:
    """A video variant with the rates of what was produced, its audio rendition included."""
    parts = [video] if audio is None else [video, audio]
    return Variant(
        playlist=video,
        codecs=video_codecs if audio is None else f"{video_codecs},{AAC_LC}",
        bandwidth_bps=sum(peak_bps(part, target_seconds) for part in parts),
        average_bandwidth_bps=sum(average_bps(part) for part in parts),
        width=width,
        height=height,
        frame_rate=frame_rate,
        audio=audio,
    )


def audio_variant(playlist: MediaPlaylist, target_seconds: int) -> Variant:
    """A variant of audio alone."""
    return Variant(playlist, AAC_LC, peak_bps(playlist, target_seconds), average_bps(playlist))


def render_multivariant(variants: Sequence[Variant]) -> str:
    """The multivariant playlist: the variant nearest to 2 Mb/s first, then the highest down.

    The first is of H.264, which everybody plays, or of sound alone.
    """
    lines = ["#EXTM3U", "#EXT-X-VERSION:6", "#EXT-X-INDEPENDENT-SEGMENTS"]
    for audio in dict.fromkeys(variant.audio for variant in variants):
        if audio is not None:
            lines.append(_audio_group(audio))
    for variant in _in_order(variants):
        lines += [f"#EXT-X-STREAM-INF:{_attributes(variant)}", variant.playlist.uri]
    return "\n".join([*lines, ""])


def _in_order(variants: Sequence[Variant]) -> list[Variant]:
    common = [variant for variant in variants if variant.playlist.initialisation is None]
    first = min(common, key=lambda v: abs(v.bandwidth_bps - FIRST_VARIANT_BPS))
    others = [variant for variant in variants if variant is not first]
    return [first, *sorted(others, key=lambda v: v.bandwidth_bps, reverse=True)]


def _audio_group(audio: MediaPlaylist) -> str:
    return (
        f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="{audio.name}",NAME="Audio",DEFAULT=YES,'
        f'AUTOSELECT=YES,CHANNELS="2",URI="{audio.uri}"'
    )


def _attributes(variant: Variant) -> str:
    attributes = [
        f"BANDWIDTH={variant.bandwidth_bps}",
        f"AVERAGE-BANDWIDTH={variant.average_bandwidth_bps}",
        f'CODECS="{variant.codecs}"',
    ]
    if variant.frame_rate is not None:
        attributes.append(f"RESOLUTION={variant.width}x{variant.height}")
        attributes.append(f"FRAME-RATE={variant.frame_rate:.3f}")
    if variant.audio is not None:
        attributes.append(f'AUDIO="{variant.audio.name}"')
    if variant.frame_rate is not None:
        attributes.append("CLOSED-CAPTIONS=NONE")
    return ",".join(attributes)
