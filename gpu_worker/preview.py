"""The preview: the first segments of a finished rendition, copied. Nothing is encoded again."""

import shutil
from pathlib import Path

from gpu_worker import ffmpeg
from gpu_worker.chunks import SEGMENT_SECONDS
from gpu_worker.playlist import MediaPlaylist, read_media_playlist, render_media, target_duration
from gpu_worker.process import Limits, run
from gpu_worker.sandbox import Room
from gpu_worker.tools import Tools

PREVIEW_SEGMENTS = 30 // SEGMENT_SECONDS
COPY_LIMITS = Limits(wall_s=120, cpu_s=60, file_bytes=1024**3)


async def make_preview(tools: Tools, folder: Path, parts: list[MediaPlaylist]) -> None:
    """Write `preview/` below `folder` from the beginning of `parts`: picture, then sound.

    Raises ProcessFailed or ProcessTimedOut.
    """
    (folder / "preview").mkdir()
    # Segments of one rendition are one transport stream cut up: put together, it is whole again.
    streams = [_joined(folder, part) for part in parts]
    argv = ffmpeg.preview_copy(tools.ffmpeg, streams)
    await run(argv, sandbox=tools.sandbox, room=Room(folder, writes=True), limits=COPY_LIMITS)
    for stream in streams:
        stream.unlink()
    path = folder / "preview" / "preview.m3u8"
    made = read_media_playlist(path)
    path.write_text(render_media(made, target_duration([made])))


def _joined(folder: Path, part: MediaPlaylist) -> Path:
    joined = folder / f".{part.name}.ts"
    with joined.open("wb") as whole:
        for segment in part.segments[:PREVIEW_SEGMENTS]:
            with (folder / segment.uri).open("rb") as piece:
                shutil.copyfileobj(piece, whole)
    return joined
