"""How ffmpeg is asked for HLS in fragmented MP4. Pure."""

from gpu_worker.ladder import PlannedRung


def name(planned: PlannedRung) -> str:
    """Of a rung's rendition in HEVC."""
    return f"{planned.rung.name}-hevc"


def initialisation(planned: PlannedRung) -> str:
    """The file of its initialisation section."""
    return f"{name(planned)}_init.mp4"


def muxer(planned: PlannedRung, seconds: int) -> list[str]:
    """Segments of so many seconds, without an edit list: of that, players make what they like."""
    called = name(planned)
    return [
        "-f", "hls", "-hls_time", str(seconds), "-hls_playlist_type", "vod",
        "-hls_segment_type", "fmp4", "-hls_segment_options", "use_editlist=0",
        "-hls_fmp4_init_filename", initialisation(planned),
        "-hls_segment_filename", f"{called}_%03d.m4s", f"{called}.m3u8",
    ]  # fmt: skip
