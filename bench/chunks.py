"""A film in five chunks against one pass: what it costs, and how long the slowest chunk takes.

    python -m bench.chunks [--quick]

Chunks are made one after the other, each with the whole machine, as five machines would have them.
"""

import argparse
import asyncio
import logging
import os
import resource
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench import footage
from bench.cost import Cost
from bench.printed import ratio
from gpu_worker.chunked import Board, ChunkedFilm
from gpu_worker.chunks import SEGMENT_SECONDS
from gpu_worker.packager import Packager
from gpu_worker.settings import EncodeSettings
from gpu_worker.tools import EncoderChoice, Tools, find_tools

CHUNKS = 5
CHUNK_S = 30.0
"""A tenth of what chunks last by default. Each begins to decode at the key frame before it, up to
eight seconds before its first picture."""
ROUNDS = 2


@dataclass(frozen=True)
class TimedBoard:
    """Makes one chunk after the other, and tells how long each took, in seconds."""

    wall_s: list[float] = field(default_factory=list)

    async def fill(self, film: ChunkedFilm) -> None:
        """As :meth:`Board.fill`."""
        for chunk in film.due:
            started = time.monotonic()
            await film.make(chunk)
            self.wall_s.append(time.monotonic() - started)


async def transcode(
    tools: Tools, source: Path, folder: Path, seconds: float, board: Board | None
) -> Cost:
    """Make the whole output of `source` in `folder`; what that costs, Python included."""
    _empty(folder)
    each = max(SEGMENT_SECONDS, seconds / CHUNKS)
    settings = EncodeSettings(chunk_min_seconds=1, chunk_seconds=each)
    packager = Packager(tools, EncoderChoice("libx264"), settings, board)
    started, before = time.monotonic(), _cpu_s()
    made = await packager.package(source, "video", folder, lambda _share: None)
    if made.tries > 1:
        raise RuntimeError("the film was made in one pass after all")
    return Cost(_cpu_s() - before, time.monotonic() - started)


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


async def measure(tools: Tools, folder: Path, *, quick: bool) -> None:
    """Print the ratios, of medians over rounds."""
    seconds = 18.0 if quick else CHUNKS * CHUNK_S
    place = folder / "long"
    place.mkdir()
    source = footage.hard(tools.ffmpeg, place, seconds)
    ones, pieces, slowest = [], [], []
    for number in range(1 if quick else ROUNDS):
        board = TimedBoard()
        for part in sorted((False, True), reverse=bool(number % 2)):
            made = await transcode(tools, source, place / "made", seconds, board if part else None)
            (pieces if part else ones).append(made)
            print(f"  round {number + 1}, {'chunks' if part else 'one pass'}: {made}", flush=True)
        if not quick and len(board.wall_s) != CHUNKS:
            raise RuntimeError(f"there were {len(board.wall_s)} chunks, not {CHUNKS}")
        slowest.append(max(board.wall_s))
        print(f"  each chunk: {', '.join(f'{wall:.1f}' for wall in board.wall_s)} s", flush=True)
    one_s = median(cost.wall_s for cost in ones)
    ratio(
        "CPU of five chunks, to one pass",
        median(cost.cpu_s for cost in pieces),
        median(cost.cpu_s for cost in ones),
        at_most=1.05,
    )
    ratio("wall of the slowest of five chunks, to one pass", median(slowest), one_s, at_most=0.25)


async def main(*, quick: bool) -> None:
    """Measure and print."""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.2f} at the start")
    # Not bubblewrap, whose processes are not counted: what it started is not waited for.
    tools = find_tools(EncodeSettings(isolation="landlock"))
    with TemporaryDirectory(prefix="codex-media-bench-") as name:
        await measure(tools, Path(name), quick=quick)
    print(f"load {os.getloadavg()[0]:.2f} at the end")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="18 seconds, one round: a smoke test")
    logging.getLogger("gpu_worker").setLevel(logging.WARNING)
    asyncio.run(main(quick=parser.parse_args().quick))
