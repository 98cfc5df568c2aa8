"""ffmpeg's filter graph for pictures: one decode, all renditions, and the pictures beside. Pure."""

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from gpu_worker import animated, colour, cuda, storyboard
from gpu_worker.chunks import Chunk
from gpu_worker.sound import seconds

if TYPE_CHECKING:
    from gpu_worker.ffmpeg import VideoPass

TAIL_SLACK_SECONDS = 0.25
"""Containers overstate the length of a stream by some frames: that much is filled."""
SMALLER = "filter=bicubic:param_a=0:param_b=0.6"
"""The kernel that swscale has by itself, in zscale, which takes less time for it."""
# JPEG files are BT.601 in full range, whatever the video was.
JPEG = "zscale=matrix=smpte170m:range=pc,format=yuvj420p"


def chains(job: "VideoPass") -> list[str]:
    """Deinterlace, fix the rate, scale to the canvas; from there a cascade of rungs and the rest.

    ffmpeg itself has turned the picture upright before this.
    """
    deinterlace = cuda.DEINTERLACE if job.on_gpu else "bwdif=mode=send_frame:deint=interlaced"
    beside = _beside(job) if job.chunk is None else []
    taken = "".join(branch.partition("]")[0] + "]" for branch in beside)
    pad = f"tpad=stop_mode=clone:stop_duration={seconds(job.pad_seconds + TAIL_SLACK_SECONDS)}"
    chain = [
        *([deinterlace] if job.interlaced else []),
        *_on_grid(job),
        *(cuda.to_canvas(job.canvas) if job.on_gpu else _to_canvas(job)),
        "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv",
        # What is missing inside a film is not to be hidden.
        *([pad] if job.chunk is None or job.chunk.is_last else []),
        f"split={1 + len(beside)}[canvas]{taken}" if beside else "null[canvas]",
    ]
    return [f"[0:{job.index}]" + ",".join(chain), *beside, *_cascade(job)]


def _on_grid(job: "VideoPass") -> list[str]:
    """Pictures at the constant rate, from the first that is wanted to the last."""
    # Repeats frames over gaps: every rendition then has a key frame on every boundary.
    constant = f"fps={_rate(job.frame_rate)}"
    # Or a frame that claims to come days later is filled up to, for an output without `-t`.
    end = f"end={seconds(float(job.length_seconds + 1 / job.frame_rate))}"
    if job.chunk is None or job.chunk.first_frame == 0:
        first = "" if job.chunk is None or job.chunk.is_last else _frames(job.chunk)
        return [f"{constant}:start_time=0", f"trim={first or end}"]
    # Begun in the middle, the filter goes on from the first frame it gets, on the same grid.
    begun = constant if job.chunk.lead_seconds is not None else f"{constant}:start_time=0"
    return [begun, f"trim={_frames(job.chunk)}" + (f":{end}" if job.chunk.is_last else "")]


def _frames(chunk: Chunk) -> str:
    """What of a film `trim` lets through; after `fps` its unit is a frame."""
    end = "" if chunk.is_last else f":end_pts={chunk.end_frame}"
    return f"start_pts={chunk.first_frame}{end}"


def _to_canvas(job: "VideoPass") -> list[str]:
    size = f"{job.canvas.width}:{job.canvas.height}"
    return [*colour.to_bt709(job.colour, size), "format=yuv420p", "setsar=1"]


def _beside(job: "VideoPass") -> list[str]:
    """Poster, storyboard and animated preview: of few pictures, which are then copied to the CPU.

    Each begins with the name of what it takes from the canvas.
    """
    fetch = f",{cuda.DOWNLOAD}" if job.on_gpu else ""
    # One picture, and no other: whatever is let through is converted in full size, or copied from
    # the GPU first, though the output takes but one.
    first = f"select=gte(t\\,{seconds(job.poster_at_seconds)})*isnan(prev_selected_t)"
    branches = [f"[still]{first}{fetch},{JPEG}[poster]"]
    if (board := job.storyboard) is not None:
        chosen = storyboard.chosen(board, seconds(job.length_seconds))
        branches.append(f"[sheets]{chosen}{fetch},{storyboard.tiled(board, JPEG)}[board]")
    if job.animated:
        chosen = animated.chosen(job.length_seconds)
        branches.append(f"[moments]{chosen}{fetch},{animated.shown(job.canvas)}[moving]")
    return branches


def beside_alone(job: "VideoPass") -> list[str]:
    """Storyboard and animated preview from the one picture track of a finished rendition."""
    branches = _beside(replace(job, on_gpu=False))[1:]
    taken = "".join(branch.partition("]")[0] + "]" for branch in branches)
    return [f"[0:0]split={len(branches)}{taken}", *branches]


def _cascade(job: "VideoPass") -> list[str]:
    """Each rung scaled from the one above: as good, and far less to read than the canvas."""
    graph, above, size = [], "[canvas]", job.canvas
    last = len(job.rungs) - 1
    for number, planned in enumerate(job.rungs):
        plain = f"zscale={planned.size.width}:{planned.size.height}:{SMALLER}"
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
