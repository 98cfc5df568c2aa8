"""One hostile file, and the small good ones that the others are made of."""

import subprocess
from pathlib import Path
from typing import NamedTuple

from gpu_worker.contract import MediaType
from gpu_worker.tools import Tools

MARK = "SECRET-PLACE-48.8577"
"""A tag of every good clip; nothing that is made of one may hold it."""
PICTURE = "-f lavfi -i testsrc2=size=64x48:rate=25:duration=0.6"
SOUND = "-f lavfi -i sine=frequency=440:duration=0.6:sample_rate=22050"
H264 = "-c:v libx264 -preset ultrafast -g 5 -pix_fmt yuv420p"
GOOD: dict[str, str] = {
    "mp4": f"{PICTURE} {SOUND} {H264} -c:a aac -movflags +faststart",
    "mov": f"{PICTURE} -c:v mjpeg",
    "mkv": f"{PICTURE} {SOUND} {H264} -c:a flac",
    "webm": f"{PICTURE} -c:v libvpx -deadline realtime",
    "ts": f"{PICTURE} {SOUND} {H264} -c:a mp2",
    "avi": f"{PICTURE} {SOUND} -c:v mpeg4 -c:a pcm_s16le",
    "flv": f"{PICTURE} {H264}",
    "mp3": f"{SOUND} -c:a libmp3lame",
    "wav": f"{SOUND}",
    "flac": f"{SOUND} -c:a flac",
    "ogg": f"{SOUND} -c:a libvorbis -ac 2",
    "m4a": f"{SOUND} -c:a aac",
}
AUDIO = frozenset({"mp3", "wav", "flac", "ogg", "m4a"})


class Hostile(NamedTuple):
    """What is uploaded: a group for the table, a name, the bytes, and what it is declared as."""

    group: str
    name: str
    content: bytes
    wanted: MediaType = "video"


def good_clips(tools: Tools, folder: Path) -> dict[str, bytes]:
    """Each container, under a second and a few kilobytes; made in `folder` where it is not yet."""
    made = {}
    for extension, arguments in GOOD.items():
        path = folder / f"good.{extension}"
        argv = [tools.ffmpeg, "-v", "error", "-nostdin", "-y", *arguments.split()]
        tags = ("-metadata", f"title={MARK}", "-metadata", f"location={MARK}")
        if not path.exists():
            subprocess.run([*argv, "-shortest", *tags, str(path)], check=True, timeout=60)
        made[extension] = path.read_bytes()
    return made
