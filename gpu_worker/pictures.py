"""Storyboard and animated preview of a film that was made in chunks.

No chunk has seen the whole film. Its smallest rendition has, and takes little to decode.
"""

import asyncio
import logging
import shutil
from pathlib import Path

from gpu_worker import ffmpeg
from gpu_worker.errors import ProcessFailed, ProcessTimedOut
from gpu_worker.ffmpeg import VideoPass
from gpu_worker.leftovers import produced
from gpu_worker.process import Limits, run
from gpu_worker.sandbox import Room
from gpu_worker.tools import Tools

LIMITS = Limits(wall_s=1800, cpu_s=3600, file_bytes=64 * 1024**2)

logger = logging.getLogger(__name__)


async def make_pictures(tools: Tools, folder: Path, job: VideoPass) -> None:
    """Write what `job` wants of them into `folder`. A film does not fail for them."""
    if job.storyboard is None and not job.animated:
        return
    stream = folder / ".pictures.ts"
    await asyncio.to_thread(_join, folder, job.rungs[-1].rung.name, stream)
    try:
        argv = ffmpeg.pictures_pass(tools.ffmpeg, job, stream)
        await run(argv, sandbox=tools.sandbox, room=Room(folder, writes=True), limits=LIMITS)
    except (ProcessFailed, ProcessTimedOut) as failure:
        logger.warning("no storyboard and no animated preview: %s", failure)
    finally:
        stream.unlink()


def _join(folder: Path, rendition: str, stream: Path) -> None:
    with stream.open("wb") as whole:
        for segment in produced(folder, rendition).segments:
            with (folder / segment.uri).open("rb") as piece:
                shutil.copyfileobj(piece, whole)
