"""Convert every hostile file: `python -m tests.gpu_worker.hostile --mutants 500 --seed 1`.

With `--trace` under strace. `--isolation` picks what confines ffmpeg. Exit code 1 on any socket,
any file read outside the job's folder, any run past its deadline and a second, any memory above
the cap, any end that is neither an output nor a typed error.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from gpu_worker.sandbox import choose
from gpu_worker.settings import EncodeSettings
from gpu_worker.tools import Tools, find_tools
from tests.gpu_worker.clips import real_clip
from tests.gpu_worker.hostile.convert import Bench, Record
from tests.gpu_worker.hostile.damage import damaged
from tests.gpu_worker.hostile.disguises import disguises
from tests.gpu_worker.hostile.files import Hostile, good_clips
from tests.gpu_worker.hostile.mutants import mutant
from tests.gpu_worker.hostile.trace import available, deeds, traced
from tests.gpu_worker.listener import listening


def parse(argv: list[str]) -> argparse.Namespace:
    """The arguments."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu_worker.hostile")
    parser.add_argument("--mutants", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--trace", action="store_true", help="count by strace, too")
    parser.add_argument("--isolation", default="auto", choices=("auto", "bubblewrap", "landlock"))
    parser.add_argument("--groups", nargs="*", help="made files of these groups alone")
    parser.add_argument("--rooms", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(arguments: argparse.Namespace) -> int:
    """The exit code."""
    tools = find_tools(EncodeSettings(isolation=arguments.isolation))
    if arguments.rooms:
        return asyncio.run(convert(arguments, tools, arguments.rooms))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        (folder / "rooms").mkdir()
        if not arguments.trace:
            return asyncio.run(convert(arguments, tools, folder / "rooms"))
        if available() is None:
            print("--trace needs strace", file=sys.stderr)
            return 2
        (folder / "rooms" / "good").mkdir()
        good_clips(tools, folder / "rooms" / "good")  # which is not what is traced
        again = [sys.executable, "-m", "tests.gpu_worker.hostile", *sys.argv[1:]]
        code = traced([*again, "--rooms", str(folder / "rooms")], folder / "logs")
        return tell_deeds(folder, tools) or code


def tell_deeds(folder: Path, tools: Tools) -> int:
    """What the trace shows; 1 where it should not have been."""
    found = deeds(folder / "logs", tools, folder / "rooms")
    print(f"traced: {found.programs} programs, {len(found.sockets)} sockets opened, ", end="")
    print(f"{len(found.files)} files read outside the job's folder")
    for what in [*sorted(found.files)[:20], *found.sockets[:20]]:
        print(f"  {what}")
    return 1 if found.files or found.sockets or not found.programs else 0


async def convert(arguments: argparse.Namespace, tools: Tools, rooms: Path) -> int:
    """Convert them all and tell; 1 on a breach."""
    started = time.monotonic()
    (rooms / "good").mkdir(exist_ok=True)
    good = good_clips(tools, rooms / "good")
    neighbour = real_clip("bikes.mp4").read_bytes()
    (rooms / "secret.mp4").write_bytes(neighbour)
    with listening() as listener:
        bench = Bench(tools, choose(arguments.isolation, None), rooms, neighbour)
        files = made(good, listener.url, str(rooms / "secret.mp4"))
        if arguments.groups:
            files = [file for file in files if file.group in arguments.groups]
        mutants = (mutant(good, arguments.seed, n) for n in range(arguments.mutants))
        record = await bench.convert_all([*files, *mutants])
        if listener.calls:
            record.breaches.append(f"{listener.calls} calls to an address in a file")
    print(f"{tools.sandbox}: {record.files} files in {time.monotonic() - started:.0f} s")
    tell(record)
    return 1 if record.breaches else 0


def made(good: dict[str, bytes], url: str, secret: str) -> list[Hostile]:
    """Every made file."""
    return [*disguises(good, url, secret), *damaged(good)]


def tell(record: Record) -> None:
    """A line for each group and the figures."""
    for group, ends in [*record.ends.items(), ("all", sum(record.ends.values(), Counter()))]:
        told = ", ".join(f"{end} × {count}" for end, count in ends.most_common())
        print(f"{group:12} {ends.total():4}  {told}")
    print(
        f"slowest {record.slowest_s:.1f} s (deadline {record.limits.max_wall_seconds:.0f} s), "
        f"{record.late} past the deadline + 1 s, peak memory {record.peak_bytes >> 20} MiB "
        f"(cap {record.limits.max_memory_bytes >> 20} MiB), {len(record.breaches)} breaches"
    )
    for breach in record.breaches[:30]:
        print(f"  {breach}")


if __name__ == "__main__":
    sys.exit(main(parse(sys.argv[1:])))
