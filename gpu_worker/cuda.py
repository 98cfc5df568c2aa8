"""What keeps pictures on the GPU from decoder to encoder: ffmpeg's options and filters. Pure.

Only options that ffmpeg 5.1 has as well: bwdif_cuda and transpose_cuda came later. Filters that
look at no pixel (fps, trim, select, split) take CUDA frames as they are. So does tpad since ffmpeg
7; an older one fails the trial at the start, and jobs go on by the CPU's decoder.
"""

from gpu_worker.ladder import Size

INPUT = (
    "-hwaccel", "cuda", "-hwaccel_output_format", "cuda",
    # The decoder's surfaces are few, and the filters before the first scaler hold some of them.
    "-extra_hw_frames", "8",
)  # fmt: skip
STRICT = "-xerror"
"""A picture the GPU does not decode ends the pass. Else the one before would stand in for it; the
CPU's decoder, which goes next, conceals what is really damaged."""
DEINTERLACE = "yadif_cuda=mode=send_frame:deint=interlaced"
DOWNLOAD = "hwdownload,format=nv12"


def to_canvas(canvas: Size) -> list[str]:
    """The filters from decoded frames to the canvas, in 8 bits.

    `passthrough=0`: a frame of the right size is copied too, which frees the decoder's surface.
    """
    return [f"{scale(canvas)}:format=nv12:passthrough=0", "setsar=1"]


def scale(size: Size) -> str:
    """A step of the cascade."""
    return f"scale_cuda={size.width}:{size.height}:interp_algo=bicubic"
