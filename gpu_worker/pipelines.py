"""Which way a video goes first, and whether another one is worth a try after a failure. Pure.

The ways: decoder, scaler and encoder on the GPU; its encoder alone; all on the CPU.
"""

from dataclasses import replace

from gpu_worker import colour
from gpu_worker.colour import PRODUCED
from gpu_worker.contract import WorkerErrorCode
from gpu_worker.errors import JobFailed, ProcessFailed
from gpu_worker.ffmpeg import VideoPass
from gpu_worker.ladder import Size
from gpu_worker.probe import MediaProbe, VideoStream
from gpu_worker.tools import EncoderChoice, why

CODECS = frozenset({"h264", "hevc", "vp8", "vp9", "av1", "mpeg2video"})
"""What NVDEC decodes on GPUs that also have NVENC (AV1 since Ampere: others refuse it)."""
PIXELS = frozenset({"yuv420p", "nv12"})
MOST_REDUCED = 2
WORTH_ANOTHER_WAY = frozenset(
    {
        WorkerErrorCode.INPUT_UNREADABLE,  # by this decoder
        WorkerErrorCode.ENCODE_FAILED,
        WorkerErrorCode.OUTPUT_INVALID,  # by this encoder
    }
)


def first_way(best: EncoderChoice, found: MediaProbe, canvas: Size) -> EncoderChoice:
    """What to convert a file's picture by, of what works on this machine."""
    if not best.on_gpu or found.video is None:
        return best
    reason = why_not_on_gpu(found.video, canvas)
    return best if reason is None else best.less(reason)


def by(way: EncoderChoice, job: VideoPass) -> VideoPass:
    """The pass of a job by one of the ways."""
    return replace(job, encoder=way.encoder, on_gpu=way.on_gpu, beside_on_cpu=way.beside_on_cpu)


def way_after(way: EncoderChoice, failure: ProcessFailed | JobFailed) -> EncoderChoice | None:
    """What to try once more by; None when the failure is final."""
    if way.encoder == "libx264" or not worth_another_way(failure):
        return None
    if isinstance(failure, JobFailed):
        return way.less(why(failure.stderr_tail) or failure.sentence)
    return way.less(why(failure.stderr_tail) or f"ffmpeg ended with {failure.returncode}")


def worth_another_way(failure: ProcessFailed | JobFailed) -> bool:
    """Whether what failed one way may succeed another."""
    return isinstance(failure, ProcessFailed) or failure.code in WORTH_ANOTHER_WAY


def why_not_on_gpu(video: VideoStream, canvas: Size) -> str | None:
    """Why a picture is decoded and scaled on the CPU; None where the GPU does both.

    The GPU's filters convert no colours, map no tones and turn nothing. Of more than 8 bits they
    cut the rest off, which shows as bands. Their kernel reaches over two pixels each way: scaled to
    less than half, fine lines flicker.
    """
    colours = colour.of(video.colour, video.coded.short_side)
    coded, most = video.coded, MOST_REDUCED
    steep = coded.width > most * canvas.width or coded.height > most * canvas.height
    reasons = {
        f"no GPU decodes {video.codec}": video.codec not in CODECS,
        "turned upright on the CPU": video.rotation_degrees != 0,
        "tones mapped on the CPU": colours is not None and colours.hdr,
        f"{video.colour.pixel_format} goes by the CPU": video.colour.pixel_format not in PIXELS,
        "colours converted on the CPU": colours != PRODUCED,
        "an odd number of lines or columns": bool(coded.width % 2 or coded.height % 2),
        "scaled to less than half": steep,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)
