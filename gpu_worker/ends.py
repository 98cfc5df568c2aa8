"""Where tracks end, measured where the container does not say."""

from dataclasses import replace

from gpu_worker import ffmpeg
from gpu_worker.contract import WorkerErrorCode
from gpu_worker.errors import JobFailed, ProcessFailed, ProcessTimedOut
from gpu_worker.probe import UNREADABLE, MediaProbe, VideoStream, ask
from gpu_worker.process import Limits
from gpu_worker.tools import Tools

MEASURE_LIMITS = Limits(wall_s=300, cpu_s=300, file_bytes=1024**2)
REORDERED_FRAMES = 3
"""How many of the last frames' times may be missing where frames are stored out of order."""


async def with_ends(tools: Tools, source: ffmpeg.Source, found: MediaProbe) -> MediaProbe:
    """`found` with the ends of both tracks, measured where the container does not say.

    Raises `input_unreadable` when the picture has no length at all.
    """
    video, audio = found.video, found.audio
    if video is not None and not video.end_seconds:
        video = replace(video, end_seconds=await _measured_picture(tools, source, video))
    if audio is not None and not audio.end_seconds:
        at, _ = await _measured(tools, source, audio.index)
        audio = replace(audio, end_seconds=at or 0.0)
    if video is not None and not video.end_seconds:
        raise JobFailed(WorkerErrorCode.INPUT_UNREADABLE, UNREADABLE, "the video has no length")
    return replace(found, video=video, audio=audio)


async def _measured_picture(tools: Tools, source: ffmpeg.Source, video: VideoStream) -> float:
    """Where the last frame ends: by its time stamp, or by count when it or some have none."""
    at, frames = await _measured(tools, source, video.index)
    rate = video.average_rate or video.nominal_rate
    if not rate:
        return at or 0.0
    counted = video.start_seconds + float(frames / rate)
    if at is None:
        return counted
    # Fields that are stored one by one count twice: a count is not believed further than that.
    return counted if at < counted <= at + float(REORDERED_FRAMES / rate) else at


async def _measured(tools: Tools, source: ffmpeg.Source, index: int) -> tuple[float | None, int]:
    """The time at a stream's end, if it has times, and its number of packets."""
    argv = ffmpeg.measure_end(tools.ffmpeg, source, index)
    try:
        done = await ask(tools, argv, source, MEASURE_LIMITS)
    except (ProcessFailed, ProcessTimedOut) as failure:
        raise JobFailed(
            WorkerErrorCode.INPUT_UNREADABLE, UNREADABLE, failure.stderr_tail
        ) from failure
    return progress_seconds(done.stdout), int(_progress(done.stdout, b"frame") or 0)


def progress_seconds(chunk: bytes) -> float | None:
    """The last `out_time_us` in a piece of `-progress` output, in seconds."""
    microseconds = _progress(chunk, b"out_time_us")
    return None if microseconds is None else int(microseconds) / 1e6


def progress_frames(chunk: bytes) -> int | None:
    """The last `frame` in a piece of `-progress` output: pictures of the first rendition."""
    frames = _progress(chunk, b"frame")
    return None if frames is None else int(frames)


def _progress(chunk: bytes, wanted: bytes) -> bytes | None:
    for line in reversed(chunk.splitlines()):
        name, _, value = line.partition(b"=")
        if name == wanted and value.strip().isdigit():
            return value.strip()
    return None
