"""The encode that shows what this machine's GPU can do: a pass over a clip made for it. Pure.

`ffmpeg -encoders` and `-hwaccels` list what there is no driver for, and the smallest picture that
some good GPUs take is larger than 145x49: only a job in small proves anything.
"""

from fractions import Fraction
from pathlib import Path

from gpu_worker import ladder, storyboard
from gpu_worker.ffmpeg import Source, VideoEncoder, VideoPass
from gpu_worker.ladder import Size

SIZE = Size(854, 480)
MAX_PIXELS = 2**20
"""Decoders count whole blocks."""
RATE, SECONDS = Fraction(25), 0.4


def clip(program: str) -> list[str]:
    """Draw `clip.mp4`, in H.264 as most uploads are."""
    drawn = f"testsrc2=size={SIZE.width}x{SIZE.height}:rate={RATE}:duration={SECONDS}"
    return [
        program, "-hide_banner", "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", drawn,
        "-c:v", "libx264", "-preset", "superfast", "-pix_fmt", "yuv420p", "-f", "mp4", "clip.mp4",
    ]  # fmt: skip


def video_pass(folder: Path, encoder: VideoEncoder) -> VideoPass:
    """The pass of a job over `clip.mp4` in `folder`: two rungs, deinterlaced, and all stills."""
    return VideoPass(
        source=Source(folder / "clip.mp4", MAX_PIXELS),
        index=0,
        canvas=SIZE,
        rungs=ladder.plan(SIZE),
        frame_rate=RATE,
        length_seconds=SECONDS,
        poster_at_seconds=SECONDS / 2,
        encoder=encoder,
        x264_preset="superfast",
        interlaced=True,
        storyboard=storyboard.plan(SIZE, SECONDS),
        animated=True,
    )
