"""The named baseline: one ffmpeg run after the other, each from the source, at a bit rate.

A rendition a run with its own sound, the preview encoded for itself, the poster sought.
"""

from pathlib import Path
from typing import NamedTuple

from bench import cost
from gpu_worker.encoders import leaner
from gpu_worker.ladder import RUNGS, Rung

PREVIEW = next(rung for rung in RUNGS if rung.name == "720p")


class Sequential(NamedTuple):
    """The design with one x264 preset."""

    ffmpeg: str
    preset: str

    def transcode(self, source: Path, folder: Path, seconds: float) -> cost.Cost:
        """Write all renditions, preview and poster below `folder`; what that costs."""
        spent = cost.FREE
        for rung in RUNGS:
            spent = spent.plus(self._encode(source, folder / rung.name, rung))
        spent = spent.plus(self._encode(source, folder / "preview", PREVIEW, "-t", "30"))
        still = [self.ffmpeg, "-v", "error", "-y", "-ss", f"{seconds / 10:g}", "-i", str(source)]
        return spent.plus(cost.run([*still, "-frames:v", "1", str(folder / "poster.jpg")]))

    def _encode(self, source: Path, folder: Path, rung: Rung, *limits: str) -> cost.Cost:
        folder.mkdir(parents=True, exist_ok=True)
        rate = rung.video_kbps
        argv = [
            self.ffmpeg, "-v", "error", "-y", "-i", str(source), *limits,
            "-vf", f"scale=-2:{rung.short_side}", "-c:v", "libx264", "-preset", self.preset,
            *leaner(rung, self.preset),
            "-profile:v", "high", "-b:v", f"{rate}k", "-maxrate", f"{rate * 107 // 100}k",
            "-bufsize", f"{rate * 3 // 2}k", "-g", "60", "-keyint_min", "60",
            "-sc_threshold", "0", "-c:a", "aac", "-b:a", f"{rung.audio_kbps}k", "-ac", "2",
            "-f", "hls", "-hls_time", "6", "-hls_playlist_type", "vod",
            "-hls_segment_filename", str(folder / "%03d.ts"), str(folder / "index.m3u8"),
        ]  # fmt: skip
        return cost.run(argv)


def segments(folder: Path) -> dict[str, list[Path]]:
    """What was made, by rung."""
    return {rung.name: sorted((folder / rung.name).glob("*.ts")) for rung in RUNGS}
