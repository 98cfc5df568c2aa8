"""Makes the files of the table: frames drawn here, encoded by ffmpeg."""

import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np

from gpu_worker.tools import Tools
from tests.gpu_worker.sources.pattern import FLASH_AT_SECONDS, FLASH_SECONDS, frames, with_bar
from tests.gpu_worker.sources.source import SIGNALS, Picture, Sound, Source

CENTRE = {"5.1": 2, "7.1": 2}
"""The channel that a film's speech is in, where there is one: it alone beeps."""
CHANNELS = {"mono": 1, "stereo": 2, "5.1": 6, "7.1": 8}
TURNS = {
    # Display options: how the upright picture is turned into the one that is encoded.
    "-display_rotation 90": lambda frame: np.rot90(frame, -1),
    "-display_rotation 180": lambda frame: np.rot90(frame, 2),
    "-display_rotation 270": lambda frame: np.rot90(frame, 1),
    "-display_hflip": np.fliplr,
    "-display_vflip": np.flipud,
    "": lambda frame: frame,
}


def make(source: Source, folder: Path, tools: Tools) -> Path:
    """The file, in `folder`."""
    path = folder / source.file
    if source.content is not None:
        content = source.content()
        if isinstance(content, Path):
            return content
        path.write_bytes(content)
        return path
    first = path.with_name("first-" + path.name) if source.again or _turn(source) else path
    _encode(source, first, tools)
    if first != path:
        again = source.again or "-i IN -map 0 -c copy"
        beside = _beside(folder, tools) if source.again else {}
        words = [str({"IN": first, **beside}.get(word, word)) for word in again.split()]
        _ffmpeg(tools, [*_turn(source), *words, str(path)])
        first.unlink()
    if source.spoil is not None:
        path.write_bytes(source.spoil(path.read_bytes()))
    return path


def _beside(folder: Path, tools: Tools) -> dict[str, Path]:
    """Files that are put into others, by the names the table has for them."""
    subtitles, chapters, cover = (folder / name for name in ("a.srt", "a.ffmeta", "a.jpg"))
    subtitles.write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n")
    chapters.write_text(";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=800\ntitle=One\n")
    _ffmpeg(tools, ["-f", "lavfi", "-i", "color=red:64x64", "-frames:v", "1", str(cover)])
    return {"SUBTITLES": subtitles, "CHAPTERS": chapters, "COVER": cover}


def _turn(source: Source) -> list[str]:
    return [] if source.picture is None else source.picture.turn.split()


def _encode(source: Source, path: Path, tools: Tools) -> None:
    inputs, maps, pictures = list[str](), list[str](), b""
    if source.picture is not None:
        picture_input, pictures = _frames(source.picture)
        inputs += picture_input
        maps += ["-map", "0:v", *source.picture.codec.split(), "-vf", _filters(source.picture)]
    for number, sound in enumerate(source.sounds):
        inputs += ["-itsoffset", str(sound.starts), "-f", "lavfi", "-i", _beeps(sound)]
        codec = sound.codec.replace("-c:a", f"-c:a:{number}").replace("-b:a", f"-b:a:{number}")
        maps += ["-map", f"{len(maps) and number + 1 if source.picture else number}:a"]
        maps += codec.split()
    _ffmpeg(tools, [*inputs, *maps, *source.options.split(), str(path)], pictures)


def _frames(picture: Picture) -> tuple[list[str], bytes]:
    """How ffmpeg takes the drawn frames, and these."""
    rate, signal = Fraction(picture.rate), SIGNALS[picture.signal]
    times = [number / rate for number in range(max(1, round(picture.seconds * rate)))]
    drawn = frames(picture.coded, times, signal.encode, Fraction(picture.sample_aspect))
    if picture.moving:
        drawn = [with_bar(frame, number) for number, frame in enumerate(drawn)]
    turned = [TURNS[picture.turn](frame) for frame in drawn]
    height, width = turned[0].shape[:2]
    size = f"{width}x{height}"
    options = ["-f", "rawvideo", "-pix_fmt", "rgb48le", "-s", size, "-framerate", picture.rate]
    return [*options, "-i", "pipe:0"], b"".join(frame.tobytes() for frame in turned)


def _filters(picture: Picture) -> str:
    signal, aspect = SIGNALS[picture.signal], Fraction(picture.sample_aspect)
    if "90" in picture.turn or "270" in picture.turn:
        aspect = 1 / aspect
    matrix = f"zscale=matrix={signal.matrix}:range={signal.range}"
    chain = [
        # zscale is exact, but takes no halved chroma of odd sides.
        *(["format=gbrp16", matrix, "format=yuv444p16"] if signal.matrix else []),
        f"format={picture.pixels}",
        *([picture.filters] if picture.filters else []),
        f"setsar={aspect.numerator}/{aspect.denominator}",
        f"setparams={signal.tags}:range={signal.range}",
    ]
    return ",".join(chain)


def _beeps(sound: Sound) -> str:
    starts = FLASH_AT_SECONDS - sound.starts
    tone = f"0.6*sin(2*PI*1000*t)*between(t\\,{starts}\\,{starts + FLASH_SECONDS})"
    if not sound.beeps:
        tone = "0.2*sin(2*PI*300*t)"
    count, centre = CHANNELS[sound.channels], CENTRE.get(sound.channels)
    each = [tone if centre in {None, number} else "0" for number in range(count)]
    expressions = "|".join(each)
    return f"aevalsrc={expressions}:s={sound.rate_hz}:d={sound.seconds}:c={sound.channels}"


def _ffmpeg(tools: Tools, arguments: list[str], stdin: bytes = b"") -> None:
    command = [tools.ffmpeg, "-v", "error", "-y", *arguments]
    subprocess.run(command, check=True, timeout=60, input=stdin)
