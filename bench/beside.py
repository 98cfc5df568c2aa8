"""What HEVC and AV1 take and how good they are beside H.264, each rung encoded alone.

    python -m bench.beside

With the CPU's encoders and the worker's own arguments. Printed is the table of docs/worker.md:
bytes to H.264's of the same rung, and VMAF.
"""

import subprocess
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import footage
from bench.footage import FRAME_RATE
from bench.quality import vmaf_of
from gpu_worker import encoders
from gpu_worker.ladder import RUNGS, Rung
from gpu_worker.settings import EncodeSettings
from gpu_worker.tools import find_tools

SECONDS = 10.0
SHOWN = ("720p", "360p")
CODECS = {"H.264": encoders.h264, "HEVC": encoders.hevc, "AV1": encoders.av1}
TIMEOUT_S = 600


def encode(ffmpeg: str, source: Path, rung: Rung, codec: str, folder: Path) -> Path:
    """The source's picture as that rung in that codec."""
    made = folder / f"{source.stem}-{rung.name}-{codec}.mp4"
    options = CODECS[codec]("libx264", rung, Fraction(FRAME_RATE), EncodeSettings().x264_preset)
    argv = [ffmpeg, "-v", "error", "-y", "-i", str(source), "-an"]
    argv += ["-vf", f"scale=-2:{rung.short_side}", *options, str(made)]
    # SVT-AV1 tells of itself whatever it is asked.
    subprocess.run(argv, check=True, timeout=TIMEOUT_S, capture_output=True)
    return made


def main() -> None:
    """Encode, measure, print."""
    ffmpeg = find_tools(EncodeSettings()).ffmpeg
    print(f"| source, rung | {' | '.join(CODECS)} |", flush=True)
    with TemporaryDirectory(prefix="codex-media-bench-") as name:
        folder = Path(name)
        films = footage.make(ffmpeg, folder, SECONDS)
        for what, source in (("slides", films.lecture), ("all moves", films.hard)):
            for rung in (rung for rung in RUNGS if rung.name in SHOWN):
                cells, first = list[str](), 0
                for codec in CODECS:
                    made = encode(ffmpeg, source, rung, codec, folder)
                    size, score = made.stat().st_size, vmaf_of(ffmpeg, source, [made], rung)
                    first = first or size
                    cells.append(f"{size / first:.2f}, {score:.1f}")
                print(f"| {what}, {rung.name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
