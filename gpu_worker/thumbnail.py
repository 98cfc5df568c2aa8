"""The poster. It comes out of the pass itself; here is what to do when that gave none."""

from pathlib import Path

from gpu_worker import ffmpeg
from gpu_worker.plan import POSTER_POSITION
from gpu_worker.playlist import MediaPlaylist
from gpu_worker.process import Limits, run
from gpu_worker.sandbox import Room
from gpu_worker.tools import Tools

STILL_LIMITS = Limits(wall_s=60, cpu_s=60, file_bytes=64 * 1024**2)


async def ensure_poster(tools: Tools, folder: Path, rendition: MediaPlaylist) -> None:
    """Take the poster from `rendition` when the pass made none.

    A file cut off before a tenth of its announced length has no frame there; its poster is the
    frame at a tenth of what there is. Raises ProcessFailed or ProcessTimedOut.
    """
    poster = folder / "poster.jpg"
    if poster.is_file() and poster.stat().st_size > 0:
        return
    at = rendition.seconds * POSTER_POSITION
    for segment in rendition.segments:
        if at < segment.seconds:
            argv = ffmpeg.still(tools.ffmpeg, folder / segment.uri, at)
            room = Room(folder, writes=True)
            await run(argv, sandbox=tools.sandbox, room=room, limits=STILL_LIMITS)
            return
        at -= segment.seconds
