"""ffmpeg's filter graph for pictures: one decode, all renditions, and the pictures beside. Pure."""

from fractions import Fraction
from typing import TYPE_CHECKING

from gpu_worker import animated, colour, cuda, storyboard
from gpu_worker.sound import seconds

if TYPE_CHECKING:
    from gpu_worker.ffmpeg import VideoPass

TAIL_SLACK_SECONDS = 0.25
"""Containers overstate the length of a stream by some frames: that much is filled."""
# JPEG files are BT.601 in full range, whatever the video was.
JPEG = "zscale=matrix=smpte170m:range=pc,format=yuvj420p"


def chains(job: "VideoPass") -> list[str]:
    """Deinterlace, fix the rate, scale to the canvas; from there a cascade of rungs and the rest.

    ffmpeg itself has turned the picture upright before this.
    """
    deinterlace = cuda.DEINTERLACE if job.on_gpu else "bwdif=mode=send_frame:deint=interlaced"
    beside = _beside(job)
    taken = "".join(branch.partition("]")[0] + "]" for branch in beside)
    chain = [
        *([deinterlace] if job.interlaced else []),
        # Repeats frames over gaps: every rendition then has a key frame on every boundary.
        f"fps={_rate(job.frame_rate)}:start_time=0",
        # Or a frame that claims to come days later is filled up to, for an output without `-t`.
        f"trim=end={seconds(float(job.length_seconds + 1 / job.frame_rate))}",
        *(cuda.to_canvas(job.canvas) if job.on_gpu else _to_canvas(job)),
        "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv",
        f"tpad=stop_mode=clone:stop_duration={seconds(job.pad_seconds + TAIL_SLACK_SECONDS)}",
        f"split={1 + len(beside)}[canvas]{taken}",
    ]
    return [f"[0:{job.index}]" + ",".join(chain), *beside, *_cascade(job)]


def _to_canvas(job: "VideoPass") -> list[str]:
    size = f"{job.canvas.width}:{job.canvas.height}"
    return [*colour.to_bt709(job.colour, size), "format=yuv420p", "setsar=1"]


def _beside(job: "VideoPass") -> list[str]:
    """Poster, storyboard and animated preview: of few pictures, which are then copied to the CPU.

    Each begins with the name of what it takes from the canvas.
    """
    fetch = f",{cuda.DOWNLOAD}" if job.on_gpu else ""
    at = seconds(job.poster_at_seconds)
    first = cuda.first_from(at) if job.on_gpu else f"select=gte(t\\,{at})"
    branches = [f"[still]{first}{fetch},{JPEG}[poster]"]
    if (board := job.storyboard) is not None:
        chosen = storyboard.chosen(board, seconds(job.length_seconds))
        branches.append(f"[sheets]{chosen}{fetch},{storyboard.tiled(board, JPEG)}[board]")
    if job.animated:
        chosen = animated.chosen(job.length_seconds)
        branches.append(f"[moments]{chosen}{fetch},{animated.shown(job.canvas)}[moving]")
    return branches


def _cascade(job: "VideoPass") -> list[str]:
    """Each rung scaled from the one above: as good, and far less to read than the canvas."""
    graph, above, size = [], "[canvas]", job.canvas
    last = len(job.rungs) - 1
    for number, planned in enumerate(job.rungs):
        plain = f"scale={planned.size.width}:{planned.size.height}"
        scale = cuda.scale(planned.size) if job.on_gpu else plain
        step = "null," if planned.size == size else f"{scale},setsar=1,"
        labels = [f"[v{number}]", *(f"[{codec}_{number}]" for codec in job.beside)]
        labels += [] if number == last else [f"[c{number}]"]
        ends = "null" if len(labels) == 1 else f"split={len(labels)}"
        graph.append(above + step + ends + "".join(labels))
        above, size = f"[c{number}]", planned.size
    return graph


def _rate(rate: Fraction) -> str:
    return f"{rate.numerator}/{rate.denominator}"
