"""What a transcode costs and how good it is, against the sequential design.

    python -m bench.transcode [--quick]

All contenders take turns, the order alternating from round to round. Printed are medians, and
ratios with their targets. See bench/README.md.
"""

import argparse
import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench import chunks, footage, upload, worker
from bench.cost import Cost
from bench.footage import Footage
from bench.printed import figure, ratio
from bench.quality import size_bytes, vmaf
from bench.sequential import Sequential, segments
from gpu_worker.settings import EncodeSettings
from gpu_worker.tools import find_tools

OURS = EncodeSettings().x264_preset
DEFAULT = "medium"
"""x264's own."""
FILM_S = 180.0
"""Whose upload hides behind its encode, but for the last of its thirty segments."""

Turn = Callable[[], Cost]


def turns(ffmpeg: str, made: Footage, folder: Path) -> dict[str, Turn]:
    """Each contender with each source; what it made stays below `folder`."""

    def sequential(preset: str, source: Path) -> Turn:
        at = folder / f"sequential-{preset}-{source.stem}"
        return lambda: Sequential(ffmpeg, preset).transcode(source, at, made.seconds)

    def ours(source: Path) -> Turn:
        return lambda: worker.transcode(source, folder / f"ours-{source.stem}").cost

    scratch = folder / "alone"
    scratch.mkdir()
    return {
        f"sequential, {OURS}, hard": sequential(OURS, made.hard),
        f"sequential, {DEFAULT}, hard": sequential(DEFAULT, made.hard),
        f"sequential, {DEFAULT}, lecture": sequential(DEFAULT, made.lecture),
        "ours, hard": ours(made.hard),
        "ours, lecture": ours(made.lecture),
        "unavoidable, hard": lambda: worker.unavoidable(ffmpeg, made.hard, scratch, made.seconds),
    }


def interleaved(rounds: int, contenders: dict[str, Turn]) -> dict[str, Cost]:
    """Medians of CPU and wall time over rounds in which all take part."""
    found: dict[str, list[Cost]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name in sorted(contenders, reverse=bool(number % 2)):
            found[name].append(contenders[name]())
            print(f"  round {number + 1}, {name}: {found[name][-1].cpu_s:.1f} CPU-s", flush=True)
    return {
        name: Cost(median(c.cpu_s for c in costs), median(c.wall_s for c in costs))
        for name, costs in found.items()
    }


def tell_costs(costs: dict[str, Cost]) -> None:
    """Every median, and the ratios of costs."""
    for name, spent in costs.items():
        print(f"  {name:<28} {spent.cpu_s:>8.1f} CPU-s {spent.wall_s:>8.1f} s")
    hard, lecture = costs["ours, hard"], costs["ours, lecture"]
    same = costs[f"sequential, {OURS}, hard"]
    ratio("CPU, to sequential with the same preset", hard.cpu_s, same.cpu_s, at_most=0.6)
    ratio("wall, to sequential with the same preset", hard.wall_s, same.wall_s, at_most=0.6)
    default = costs[f"sequential, {DEFAULT}, hard"]
    ratio("CPU, hard, to sequential at medium", hard.cpu_s, default.cpu_s, at_most=0.6)
    easy = costs[f"sequential, {DEFAULT}, lecture"]
    ratio("CPU, lecture, to sequential at medium", lecture.cpu_s, easy.cpu_s, at_most=0.5)
    alone = costs["unavoidable, hard"]
    ratio("CPU, hard, to one decode and the encodes alone", hard.cpu_s, alone.cpu_s, at_most=1.1)


def tell_quality(ffmpeg: str, made: Footage, folder: Path) -> None:
    """VMAF and bytes of what the last round left."""
    for source in (made.hard, made.lecture):
        theirs = segments(folder / f"sequential-{DEFAULT}-{source.stem}")
        (hls,) = (p.parent for p in (folder / f"ours-{source.stem}").rglob("master.m3u8"))
        ours = {name: sorted(hls.glob(f"{name}_*.ts")) for name in theirs}
        sound = {"sound": sorted(hls.glob("audio-*.ts"))}
        bytes_ours = size_bytes(ours) + size_bytes(sound)
        scores, baseline = vmaf(ffmpeg, source, ours), vmaf(ffmpeg, source, theirs)
        print(f"  {source.stem}: VMAF ours {scores}, sequential at medium {baseline}")
        if source is made.hard:
            worst = min(scores[name] - baseline[name] for name in scores)
            figure("VMAF, hard, worst rung, ours less sequential at medium", worst, at_least=-0.5)
            ratio("bytes, hard, to sequential at medium", bytes_ours, size_bytes(theirs), at_most=1)
        else:
            figure("VMAF, lecture, worst rung", min(scores.values()), at_least=95)
            ratio(
                "bytes, lecture, to sequential at medium",
                bytes_ours,
                size_bytes(theirs),
                at_most=0.25,
            )


async def main(*, quick: bool) -> None:
    """Measure and print."""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.2f} at the start")
    tools = find_tools(EncodeSettings())
    with TemporaryDirectory(prefix="codex-media-bench-") as name:
        folder = Path(name)
        made = footage.make(tools.ffmpeg, folder, 2.0 if quick else 10.0)
        tell_costs(interleaved(1 if quick else 3, turns(tools.ffmpeg, made, folder)))
        tell_quality(tools.ffmpeg, made, folder)
        film = footage.long_film(tools.ffmpeg, made.hard, 12.0 if quick else FILM_S)
        overlap = await upload.measure(tools, film, folder)
        print(f"  encode {overlap.encode_s:.1f} s, upload {overlap.upload_s:.1f} s")
        ratio(
            "wall of both at once, to the longer of the two alone",
            overlap.both_s,
            max(overlap.encode_s, overlap.upload_s),
            at_most=1.05,
        )
        await chunks.measure(find_tools(EncodeSettings(isolation="landlock")), folder, quick=quick)
    print(f"load {os.getloadavg()[0]:.2f} at the end")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="two seconds, one round: a smoke test")
    logging.getLogger("gpu_worker").setLevel(logging.WARNING)
    asyncio.run(main(quick=parser.parse_args().quick))
