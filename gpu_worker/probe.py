"""What ffprobe says of an input, in the terms the ladder needs."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from gpu_worker import ffmpeg
from gpu_worker.colour import ColourTags
from gpu_worker.contract import WorkerErrorCode
from gpu_worker.errors import JobFailed, ProcessFailed, ProcessTimedOut
from gpu_worker.ladder import Size
from gpu_worker.process import Completed, Limits, run
from gpu_worker.sandbox import Room
from gpu_worker.tools import Tools

PROBE_LIMITS = Limits(wall_s=60, cpu_s=60, file_bytes=1024**2)
UNREADABLE = (
    "This file is not a video or audio file we can read. "
    "It may be damaged or of another kind; please export it again, "
    "for example as MP4, and upload it."
)
GUESSED_LENGTHS = frozenset({"mpeg", "asf"})
"""Formats that do not say how long a track is: ffprobe's figure is a guess, some frames off."""
LATE_SECONDS = 0.1
NOT_KEPT = frozenset({"packets", "tags", "filename"})
"""Tags hold places and names; the file's name is that of a temporary file."""
SURPRISES = (
    KeyError,
    ValueError,
    ArithmeticError,
    TypeError,
    AttributeError,
    RecursionError,
)
"""What reading a document raises that is not as ffprobe writes them."""
Json = Mapping[str, Any]


@dataclass(frozen=True)
class VideoStream:
    """The video track to use. `end_seconds` is None when the container does not say."""

    index: int
    codec: str
    """ffmpeg's name of it."""
    coded: Size
    sample_aspect_ratio: Fraction
    rotation_degrees: int
    average_rate: Fraction
    nominal_rate: Fraction
    interlaced: bool
    colour: ColourTags
    start_seconds: float
    """From the file's start, as the end is."""
    end_seconds: float | None

    @property
    def display(self) -> Size:
        """The picture as meant to be seen: square pixels, upright."""
        width = max(1, round(self.coded.width * self.sample_aspect_ratio))
        if self.rotation_degrees % 180 == 90:
            return Size(self.coded.height, width)
        return Size(width, self.coded.height)


@dataclass(frozen=True)
class AudioStream:
    """The audio track to use. `end_seconds` is None when the container does not say."""

    index: int
    channels: int
    sample_rate_hz: int
    end_seconds: float | None


@dataclass(frozen=True)
class MediaProbe:
    """A file's chosen tracks. `document` is ffprobe's answer without tags and names."""

    video: VideoStream | None
    audio: AudioStream | None
    duration_seconds: float | None
    document: dict[str, object]


async def probe(tools: Tools, source: ffmpeg.Source) -> MediaProbe:
    """Describe `source`. Raises `input_unreadable` when ffprobe makes nothing of it."""
    argv = ffmpeg.ffprobe(tools.ffprobe, source)
    try:
        done = await ask(tools, argv, source, PROBE_LIMITS)
    except ProcessFailed as failure:
        if "exceeds max_streams" in failure.stderr_tail:
            raise JobFailed(
                WorkerErrorCode.INPUT_UNSUPPORTED,
                f"This file has more than {source.max_streams} tracks in it.",
                failure.stderr_tail,
            ) from failure
        raise JobFailed(
            WorkerErrorCode.INPUT_UNREADABLE, UNREADABLE, failure.stderr_tail
        ) from failure
    except ProcessTimedOut as failure:
        raise JobFailed(
            WorkerErrorCode.INPUT_UNREADABLE, UNREADABLE, failure.stderr_tail
        ) from failure
    return understood(done.stdout)


def understood(told: bytes | str) -> MediaProbe:
    """The tracks to use out of what ffprobe printed. Raises `JobFailed`, whatever it printed."""
    try:
        return read(json.loads(told))
    except SURPRISES as surprise:
        raise JobFailed(
            WorkerErrorCode.INPUT_UNREADABLE, UNREADABLE, f"ffprobe said {surprise!r:.500}"
        ) from surprise


def read(document: Json) -> MediaProbe:
    """The tracks to use out of ffprobe's JSON: the default ones, never a cover picture.

    Raises `input_unsupported` for a codec nobody knows, for encrypted tracks, and for Dolby Vision
    whose base layer is nothing by itself.
    """
    if any(_is_encrypted(packet) for packet in document.get("packets", [])):
        raise JobFailed(
            WorkerErrorCode.INPUT_UNSUPPORTED,
            "This file is protected against copying; please export it without protection.",
        )
    streams, container = document.get("streams", []), document.get("format", {})
    video = _chosen(s for s in streams if s.get("codec_type") == "video" and not _is_cover(s))
    audio = _chosen(s for s in streams if s.get("codec_type") == "audio" and s.get("channels"))
    return MediaProbe(
        video=None if video is None else _video(video, container),
        audio=None if audio is None else _audio(audio, container),
        duration_seconds=_number(container.get("duration")),
        document=_without_tags(document),
    )


async def ask(tools: Tools, argv: list[str], source: ffmpeg.Source, limits: Limits) -> Completed:
    """Run a program that only reads the source."""
    room = Room(source.path.parent, (source.path,))
    return await run(argv, sandbox=tools.sandbox, room=room, limits=limits)


def _chosen(streams: Iterable[Json]) -> Json | None:
    candidates = list(streams)
    default = (s for s in candidates if s.get("disposition", {}).get("default"))
    return next(default, candidates[0] if candidates else None)


def _is_cover(stream: Json) -> bool:
    marks = stream.get("disposition", {})
    return bool(marks.get("attached_pic") or marks.get("timed_thumbnails"))


def _video(stream: Json, container: Json) -> VideoStream:
    if "codec_name" not in stream or stream["codec_name"] == "unknown":
        raise JobFailed(
            WorkerErrorCode.INPUT_UNSUPPORTED,
            "The video in this file is in a format we cannot decode; please export it as H.264.",
        )
    if any(side.get("dv_bl_signal_compatibility_id") == 0 for side in _side_data(stream)):
        # Its base layer's colours (IPT) mean nothing without the enhancement: green and purple.
        raise JobFailed(
            WorkerErrorCode.INPUT_UNSUPPORTED,
            "This video is Dolby Vision that other decoders cannot show (profile 5); "
            "please export it as HDR10, HLG or SDR.",
        )
    return VideoStream(
        index=int(stream["index"]),
        codec=stream["codec_name"],
        coded=Size(int(stream["width"]), int(stream["height"])),
        sample_aspect_ratio=_ratio(stream.get("sample_aspect_ratio")) or Fraction(1),
        rotation_degrees=_rotation(stream),
        average_rate=_ratio(stream.get("avg_frame_rate")),
        nominal_rate=_ratio(stream.get("r_frame_rate")),
        interlaced=stream.get("field_order") in {"tt", "bb", "tb", "bt"},
        colour=ColourTags(
            pixel_format=stream.get("pix_fmt", ""),
            matrix=stream.get("color_space"),
            primaries=stream.get("color_primaries"),
            transfer=stream.get("color_transfer"),
            full_range=stream.get("color_range") == "pc",
        ),
        start_seconds=_start(stream, container),
        end_seconds=_end(stream, container),
    )


def _audio(stream: Json, container: Json) -> AudioStream:
    return AudioStream(
        index=int(stream["index"]),
        channels=int(stream["channels"]),
        sample_rate_hz=int(stream["sample_rate"]),
        end_seconds=_end(stream, container),
    )


def _start(stream: Json, container: Json) -> float:
    begins = _number(container.get("start_time")) or 0.0
    return (_number(stream.get("start_time")) or begins) - begins


def _end(stream: Json, container: Json) -> float | None:
    """Where the stream ends, from the file's start; None where that must be measured."""
    if container.get("format_name") in GUESSED_LENGTHS:
        return None
    duration = _number(stream.get("duration")) or _tagged_duration(stream)
    return _start(stream, container) + duration if duration else None


def _tagged_duration(stream: Json) -> float | None:
    """Matroska has the length in a tag only, which counts from the stream's start or from zero,
    depending on who wrote it: of use where both are one."""
    late = abs(_number(stream.get("start_time")) or 0.0) > LATE_SECONDS
    return None if late else _clock(stream.get("tags", {}).get("DURATION"))


def _rotation(stream: Json) -> int:
    """Degrees of the display matrix, to the nearest quarter turn."""
    turns = (side["rotation"] for side in _side_data(stream) if "rotation" in side)
    return round(float(next(turns, 0)) / 90) * 90 % 360


def _side_data(stream: Json) -> Iterable[Json]:
    found: Iterable[Json] = stream.get("side_data_list", [])
    return found


def _ratio(text: object) -> Fraction:
    """`30000/1001` or `128:117` as a fraction; 0 when unknown."""
    above, _, below = str(text or "0").replace(":", "/").partition("/")
    if not above.isdigit() or not (below or "1").isdigit() or int(below or 1) == 0:
        return Fraction(0)
    return Fraction(int(above), int(below or 1))


def _number(text: object) -> float | None:
    """A finite number; `N/A`, `nan` and `inf` are none."""
    try:
        number = float(str(text))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _clock(text: object) -> float | None:
    """`00:00:14.000000000` in seconds."""
    parts = str(text or "").split(":")
    if len(parts) != 3 or any(_number(part) is None for part in parts):
        return None
    return int(parts[0]) * 3600 + int(parts[1]) * 60 + float(parts[2])


def _is_encrypted(packet: Json) -> bool:
    """By Common Encryption (ISO/IEC 23001-7), which leaves the codecs' names as they were."""
    return any(side.get("side_data_type") == "Encryption info" for side in _side_data(packet))


def _without_tags(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _without_tags(v) for k, v in value.items() if k not in NOT_KEPT}
    if isinstance(value, list):
        return [_without_tags(item) for item in value]
    return value
