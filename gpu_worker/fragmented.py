"""How ffmpeg is asked for HLS in fragmented MP4. Pure."""

from typing import Literal

from gpu_worker.ladder import PlannedRung

Codec = Literal["hevc", "av1"]
"""What a rung is made in beside H.264."""


def name(planned: PlannedRung, codec: Codec) -> str:
    """Of a rung's rendition in another codec."""
    return f"{planned.rung.name}-{codec}"


def initialisation(planned: PlannedRung, codec: Codec) -> str:
    """The file of its initialisation section."""
    return f"{name(planned, codec)}_init.mp4"


def muxer(planned: PlannedRung, codec: Codec, seconds: int) -> list[str]:
    """Segments of so many seconds, without an edit list: of that, players make what they like."""
    called = name(planned, codec)
    return [
        "-f", "hls", "-hls_time", str(seconds), "-hls_playlist_type", "vod",
        "-hls_segment_type", "fmp4", "-hls_segment_options", "use_editlist=0",
        "-hls_fmp4_init_filename", initialisation(planned, codec),
        "-hls_segment_filename", f"{called}_%03d.m4s", f"{called}.m3u8",
    ]  # fmt: skip
