"""The worker's own command, measured; and the work that no design can leave out."""

import os
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from bench import cost
from bench.footage import FRAME_RATE, HEIGHT, WIDTH
from gpu_worker import ffmpeg as commands
from gpu_worker import ladder, plan
from gpu_worker.ladder import RUNGS, Size
from gpu_worker.settings import EncodeSettings

VIDEO_ENDS_AT = "-t"


class Made(NamedTuple):
    """What the command wrote."""

    cost: cost.Cost
    segments: dict[str, list[Path]]
    audio: list[Path]


def transcode(source: Path, folder: Path, preset: str | None = None) -> Made:
    """`python -m gpu_worker transcode`, from its start to its end, with the CPU's encoder."""
    shutil.rmtree(folder, ignore_errors=True)
    # Not bubblewrap, whose processes are not counted: what it started is not waited for.
    environ = {
        **os.environ,
        "ISOLATION": "landlock",
        "ENCODER": "libx264",
        **({"X264_PRESET": preset} if preset else {}),
    }
    argv = [sys.executable, "-m", "gpu_worker", "transcode", str(source), "--out", str(folder)]
    spent = cost.run(argv, environ)
    (hls,) = (path.parent for path in folder.rglob("master.m3u8"))
    segments = {rung.name: sorted(hls.glob(f"{rung.name}_*.ts")) for rung in RUNGS}
    return Made(spent, segments, sorted(hls.glob("audio-*.ts")))


def unavoidable(program: str, source: Path, folder: Path, seconds: float) -> cost.Cost:
    """One decode of the source, and each encode alone, fed with pictures of its size as they are.

    The encoders' arguments are the worker's own.
    """
    quiet = [program, "-v", "error", "-y"]
    spent = cost.run([*quiet, "-i", str(source), "-f", "null", "-"])
    job = _job(source, seconds)
    argv = commands.video_pass(program, job)
    for number, planned in enumerate(job.rungs):
        size = f"{planned.size.width}x{planned.size.height}"
        raw = folder / "raw.yuv"
        pictures = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", size, "-r", str(FRAME_RATE)]
        scaled = ["-vf", f"scale={size.replace('x', ':')}", "-an", "-f", "rawvideo", str(raw)]
        subprocess.run([*quiet, "-i", str(source), *scaled], check=True, timeout=600)
        encoder = _encoder_of(argv, f"[v{number}]")
        made = ["-f", "mpegts", str(folder / "alone.ts")]
        spent = spent.plus(cost.run([*quiet, *pictures, "-i", str(raw), *encoder, *made]))
        raw.unlink()
    sound = folder / "sound.wav"
    subprocess.run([*quiet, "-i", str(source), "-vn", "-ar", "48000", str(sound)], check=True)
    for kbps in (128, 64):
        made = ["-b:a", f"{kbps}k", str(folder / "alone.m4a")]
        spent = spent.plus(cost.run([*quiet, "-i", str(sound), "-c:a", "aac", *made]))
    return spent


def _job(source: Path, seconds: float) -> commands.VideoPass:
    settings = EncodeSettings()
    display = Size(WIDTH, HEIGHT)
    return commands.VideoPass(
        source=commands.Source(source, settings.max_pixels),
        index=0,
        canvas=display,
        rungs=ladder.plan(display),
        frame_rate=Fraction(FRAME_RATE),
        length_seconds=seconds,
        poster_at_seconds=seconds * plan.POSTER_POSITION,
        encoder="libx264",
        x264_preset=settings.x264_preset,
        processors=settings.encode_processors,
    )


def _encoder_of(argv: list[str], label: str) -> list[str]:
    start = argv.index(label) + 1
    return argv[start : argv.index(VIDEO_ENDS_AT, start)]
