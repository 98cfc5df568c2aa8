"""Looks at a produced output: decodes every rendition and measures what is seen and heard."""

import json
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import m3u8
import numpy as np
import numpy.typing as npt

from gpu_worker.tools import Tools
from tests.gpu_worker.sources import colour
from tests.gpu_worker.sources.colour import Floats
from tests.gpu_worker.sources.pattern import (
    BAR_ROWS,
    FLASH,
    PATCHES,
    SQUARE_SIDE,
    Patch,
    box,
)

SOUND_HZ = 48_000
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Film:
    """A decoded rendition: planes (frames, rows, columns), and each frame's time in seconds."""

    name: str
    luma: Bytes
    chroma: tuple[Bytes, Bytes]
    times: tuple[float, ...]
    seconds: float
    """Of its playlist."""
    complaints: str
    coding: tuple[colour.Matrix, bool] = ("bt709", False)
    """How Y'CbCr is meant, and whether in full range."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.luma.shape[2], self.luma.shape[1]


def films(tools: Tools, master: Path, scratch: Path) -> list[Film]:
    """Every picture rendition that a multivariant playlist names, largest first."""
    playlist = m3u8.load(str(master))
    found = [
        _film(tools, master.parent / variant.uri, variant.stream_info.resolution, scratch)
        for variant in playlist.playlists
        if variant.stream_info.resolution
    ]
    return sorted(found, key=lambda film: -film.size[0])


def _film(tools: Tools, path: Path, size: tuple[int, int], scratch: Path) -> Film:
    stamps = scratch / "stamps"
    decoded = _ffmpeg(
        tools,
        ["-copyts", "-i", str(path), "-map", "0:v", "-fps_mode", "passthrough"],
        ["-f", "rawvideo", "-pix_fmt", "yuv420p", "pipe:1", "-map", "0:v"],
        ["-fps_mode", "passthrough", "-enc_time_base", "1:90000", "-f", "framecrc", str(stamps)],
    )
    planes, (width, height) = np.frombuffer(decoded.stdout, np.uint8), size
    frames = planes.reshape(-1, width * height * 3 // 2)
    luma, rest = frames[:, : width * height], frames[:, width * height :]
    half = (len(frames), height // 2, width // 2)
    middle = half[1] * half[2]
    return Film(
        path.stem,
        luma.reshape(-1, height, width),
        (rest[:, :middle].reshape(half), rest[:, middle:].reshape(half)),
        _times(stamps.read_text()),
        _seconds(path),
        decoded.stderr.decode(),
    )


def _times(framecrc: str) -> tuple[float, ...]:
    lines = framecrc.splitlines()
    base = next(Fraction(line.split(":")[1].strip()) for line in lines if line.startswith("#tb"))
    stamps = [int(line.split(",")[2]) for line in lines if not line.startswith("#")]
    return tuple(float(stamp * base) for stamp in stamps)


def _seconds(path: Path) -> float:
    return float(sum(segment.duration for segment in m3u8.load(str(path)).segments))


@dataclass(frozen=True)
class Track:
    """A decoded sound rendition, stereo at 48 kHz; sample 0 is at the transport stream's zero."""

    name: str
    samples: npt.NDArray[np.float32]
    seconds: float
    begins: float
    """When its first frame is due, by the transport stream's clock."""
    complaints: str


def tracks(tools: Tools, master: Path) -> list[Track]:
    """Every sound rendition that a multivariant playlist names."""
    playlist = m3u8.load(str(master))
    names = [media.uri for media in playlist.media if media.type == "AUDIO"]
    names += [v.uri for v in playlist.playlists if not v.stream_info.resolution]
    return [_track(tools, master.parent / name) for name in dict.fromkeys(names)]


def _track(tools: Tools, path: Path) -> Track:
    decoded = _ffmpeg(
        tools,
        ["-copyts", "-i", str(path), "-map", "0:a", "-af", "aresample=async=1:first_pts=0"],
        ["-f", "f32le", "-ac", "2", "-ar", str(SOUND_HZ), "pipe:1"],
    )
    samples = np.frombuffer(decoded.stdout, "<f4").reshape(-1, 2)
    seconds = _seconds(path)
    begins = len(samples) / SOUND_HZ - seconds
    return Track(path.stem, samples, seconds, begins, decoded.stderr.decode())


def beep_seconds(track: Track) -> float | None:
    """When the beep begins, by the transport stream's clock; None when nothing is heard."""
    heard = np.abs(track.samples).max(axis=1)
    return float(np.argmax(heard > 0.3 * heard.max())) / SOUND_HZ if heard.max() > 0.02 else None


def flash_seconds(film: Film) -> float | None:
    """When the flash begins, by the transport stream's clock; None when nothing is seen."""
    place = box(FLASH, *film.size)
    strip = film.luma[:, place.top + 4 : place.bottom - 4, place.left + 4 : place.right - 4]
    lit = strip.mean(axis=(1, 2)) > 128
    return film.times[int(np.argmax(lit))] if lit.any() else None


def poster(tools: Tools, path: Path) -> Film:
    """A still, which may be larger than any rendition, as a film of one frame."""
    shape = tags(tools, path)
    width, height = shape["width"], shape["height"]
    raw = _ffmpeg(tools, ["-i", str(path), "-f", "rawvideo", "-pix_fmt", "yuvj420p", "pipe:1"])
    half = (1, -(-height // 2), -(-width // 2))
    planes = np.split(
        np.frombuffer(raw.stdout, np.uint8),
        [width * height, width * height + half[1] * half[2]],
    )
    u, v = (plane.reshape(half) for plane in planes[1:])
    luma = planes[0].reshape(1, height, width)
    return Film("poster", luma, (u, v), (0.0,), 0.0, raw.stderr.decode(), ("bt601", True))


def seen(film: Film, patch: Patch) -> Floats:
    """The mean R'G'B' of a patch's inner half in the last frame."""
    place = box(patch, *film.size)
    right, down = (place.right - place.left) // 4, (place.bottom - place.top) // 4
    rows = slice(place.top + down, place.bottom - down)
    columns = slice(place.left + right, place.right - right)
    u, v = film.chroma
    half_rows = slice(rows.start // 2, rows.stop // 2)
    half_columns = slice(columns.start // 2, columns.stop // 2)
    yuv = [
        film.luma[-1, rows, columns].mean(),
        u[-1, half_rows, half_columns].mean(),
        v[-1, half_rows, half_columns].mean(),
    ]
    matrix, full = film.coding
    return colour.rgb_of(np.array(yuv, dtype=np.float64), matrix, full=full)


def worst_patch(film: Film) -> tuple[str, float]:
    """The patch whose colour is furthest from the drawn one, and its CIEDE2000."""
    found = {
        name: float(colour.delta_e(colour.lab(seen(film, patch)), colour.lab(np.array(patch.rgb))))
        for name, patch in PATCHES.items()
        if name != "surround"
    }
    worst = max(found, key=lambda name: found[name])
    return worst, found[worst]


def square_error(film: Film) -> float:
    """By how many pixels the white square's sides differ from what they should be, at most."""
    width, height = film.size
    short = min(width, height)
    rows = film.luma[-1, :, width // 2 - 2 : width // 2 + 2].mean(axis=1)
    columns = film.luma[-1, height // 2 - 2 : height // 2 + 2, :].mean(axis=0)
    sides = [_extent(line, int(0.19 * short)) for line in (rows, columns)]
    return max(abs(side - SQUARE_SIDE * short) for side in sides)


def _extent(line: Floats, reach: int) -> float:
    """The width of the bright middle of a line, edges interpolated by their brightness."""
    middle = line[len(line) // 2 - reach : len(line) // 2 + reach]
    white, black = np.median(middle[reach // 2 : -reach // 2]), np.median(middle[:4])
    return float(np.clip((middle - black) / (white - black), 0, 1).sum())


def combing(film: Film) -> float:
    """How much rows differ from both neighbours where the bar moves, in luma levels."""
    height = film.size[1]
    top, bottom = (round(share * height) for share in BAR_ROWS)
    moving = film.luma[:, top + 3 : bottom - 3].astype(np.float64)
    return float(np.abs(moving[:, 1:-1] * 2 - moving[:, :-2] - moving[:, 2:]).mean() / 4)


def tags(tools: Tools, segment: Path) -> dict[str, Any]:
    """What ffprobe reads out of a segment's picture stream."""
    command = [tools.ffprobe, "-v", "error", "-of", "json", "-show_streams", str(segment)]
    answer = subprocess.run(command, check=True, capture_output=True, timeout=30)
    found: dict[str, Any] = json.loads(answer.stdout)["streams"][0]
    return found


def _ffmpeg(tools: Tools, *arguments: list[str]) -> "subprocess.CompletedProcess[bytes]":
    command = [tools.ffmpeg, "-v", "warning", "-nostdin", "-y"]
    for words in arguments:
        command += words
    return subprocess.run(command, check=True, capture_output=True, timeout=60)
