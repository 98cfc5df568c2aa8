"""Looks at produced HLS with other eyes than the code's: the m3u8 library, ffprobe, ffmpeg."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import m3u8
import numpy as np
import numpy.typing as npt

from gpu_worker.tools import Tools

Json = dict[str, Any]


def master(folder: Path) -> m3u8.M3U8:
    return m3u8.loads((folder / "master.m3u8").read_text())


def media(folder: Path, name: str) -> m3u8.M3U8:
    return m3u8.loads((folder / name).read_text())


def lengths(playlist: m3u8.M3U8) -> list[float]:
    return [segment.duration for segment in playlist.segments]


def streams(tools: Tools, path: Path) -> list[Json]:
    command = [tools.ffprobe, "-v", "error", "-of", "json", "-show_streams", str(path)]
    answer = subprocess.run(command, check=True, capture_output=True, timeout=30)
    found: list[Json] = json.loads(answer.stdout)["streams"]
    return found


def packets(tools: Tools, path: Path, selected: str) -> list[Json]:
    command = [tools.ffprobe, "-v", "error", "-of", "json", "-show_packets"]
    command += ["-select_streams", selected, str(path)]
    answer = subprocess.run(command, check=True, capture_output=True, timeout=30)
    found: list[Json] = json.loads(answer.stdout)["packets"]
    return found


def complaints(tools: Tools, playlist: Path) -> str:
    """What ffmpeg says while it decodes every rendition of a playlist."""
    command = [tools.ffmpeg, "-v", "warning", "-nostdin", "-protocol_whitelist", "file"]
    command += ["-i", str(playlist), "-map", "0", "-f", "null", "-"]
    done = subprocess.run(command, check=True, capture_output=True, timeout=60)
    return done.stderr.decode()


def picture(
    tools: Tools, arguments: Sequence[str], width: int, height: int
) -> npt.NDArray[np.int32]:
    """One frame as RGB, shape (height, width, 3)."""
    command = [tools.ffmpeg, "-v", "error", "-nostdin", *arguments, "-frames:v", "1"]
    command += ["-vf", f"scale={width}:{height}", "-pix_fmt", "rgb24", "-f", "rawvideo", "-"]
    raw = subprocess.run(command, check=True, capture_output=True, timeout=30).stdout
    return np.frombuffer(raw, np.uint8).reshape(height, width, 3).astype(np.int32)


def psnr_db(one: npt.NDArray[np.int32], other: npt.NDArray[np.int32]) -> float:
    """Likeness of two pictures in decibels; above 30 they look alike."""
    error = float(np.mean((one - other) ** 2))
    return 99.0 if error == 0 else 10 * float(np.log10(255**2 / error))
