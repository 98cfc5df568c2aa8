"""What the trace must find: ffmpeg that obeys hostile files, in no sandbox and without whitelists.

python -m tests.gpu_worker.hostile.planted ROOM URL
"""

import asyncio
import sys
from pathlib import Path

from gpu_worker import ffmpeg
from gpu_worker.errors import ProcessFailed
from gpu_worker.process import Limits, run
from gpu_worker.sandbox import UNCONFINED, Room, Sandbox
from gpu_worker.settings import EncodeSettings
from gpu_worker.tools import Tools, find_tools
from tests.gpu_worker.hostile.disguises import NEIGHBOUR, texts

LIMITS = Limits(wall_s=20, cpu_s=20, file_bytes=1024**2)
COPIED = "file,http,https,tcp,tls,crypto"
"""A whitelist as many copy it from each other."""


def unguarded(argv: list[str]) -> list[str]:
    """The command with every format, and with other protocols."""
    kept = list(argv)
    at = kept.index("-format_whitelist")
    del kept[at : at + 2]
    kept[kept.index("-protocol_whitelist") + 1] = COPIED
    return kept


async def obey(tools: Tools, layers: Sandbox, hostile: Path) -> bool:
    """Whether ffmpeg made something of the file."""
    argv = unguarded(ffmpeg.measure_end(tools.ffmpeg, ffmpeg.Source(hostile, 2**27), 0))
    try:
        await run(argv, sandbox=layers, room=Room(hostile.parent, (hostile,)), limits=LIMITS)
    except ProcessFailed:
        return False
    return True


def calling(folder: Path, url: str) -> Path:
    """An HLS playlist, named as one, whose segment is at `url`."""
    path = folder / "input.m3u8"
    path.write_text(texts(url)["hls"])
    return path


def reading(folder: Path, neighbour: bytes) -> Path:
    """An ffconcat list of a video that lies beside it."""
    (folder / NEIGHBOUR).write_bytes(neighbour)
    path = folder / "input"
    path.write_text(texts(NEIGHBOUR)["ffconcat"])
    return path


async def main(room: Path, url: str) -> None:
    """Both attacks."""
    tools = find_tools(EncodeSettings())
    await obey(tools, UNCONFINED, calling(room, url))
    await obey(tools, UNCONFINED, reading(room, (room / NEIGHBOUR).read_bytes()))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
