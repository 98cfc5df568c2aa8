"""A sample clip, for a demo without a file."""

import subprocess
from pathlib import Path
from typing import NamedTuple

import imageio_ffmpeg

TIMEOUT_S = 120


class Clip(NamedTuple):
    """A moving test card with a tone."""

    name: str
    size: str
    seconds: int


SAMPLE = Clip("sample", "1280x720", 12)
SMALL_SAMPLE = Clip("sample-small", "320x180", 2)
"""For many uploads on few cores."""


def sample_clip(folder: Path, clip: Clip = SAMPLE) -> Path:
    """`folder/NAME.mp4`; made on first use."""
    path = folder / f"{clip.name}.mp4"
    if path.is_file():
        return path
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = folder / f"{clip.name}.part.mp4"
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y"]
    argv += ["-f", "lavfi", "-i", f"testsrc2=size={clip.size}:rate=25:duration={clip.seconds}"]
    argv += ["-f", "lavfi", "-i", f"sine=frequency=440:beep_factor=4:duration={clip.seconds}"]
    argv += ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p"]
    argv += ["-c:a", "aac", "-b:a", "128k", "-shortest", "-movflags", "+faststart", str(part)]
    subprocess.run(argv, check=True, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL)
    part.rename(path)
    return path
