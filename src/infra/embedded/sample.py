"""A sample clip, for a demo without a file."""

import subprocess
from pathlib import Path

import imageio_ffmpeg

SECONDS = 12
TIMEOUT_S = 120


def sample_clip(folder: Path) -> Path:
    """`folder/sample.mp4`: 12 s of a moving 720p test card with a tone; made on first use."""
    path = folder / "sample.mp4"
    if path.is_file():
        return path
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = folder / "sample.part.mp4"
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y"]
    argv += ["-f", "lavfi", "-i", f"testsrc2=size=1280x720:rate=25:duration={SECONDS}"]
    argv += ["-f", "lavfi", "-i", f"sine=frequency=440:beep_factor=4:duration={SECONDS}"]
    argv += ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p"]
    argv += ["-c:a", "aac", "-b:a", "128k", "-shortest", "-movflags", "+faststart", str(part)]
    subprocess.run(argv, check=True, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL)
    part.rename(path)
    return path
