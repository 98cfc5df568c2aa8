"""Converts a source as `codex-media transcode` does, and compares what came of it with the table.

Bounds: any patch within `Made.delta_e` (CIEDE2000) in every rendition and the poster, in its
place; the square's sides within 1.5 pixels; beep and flash within 40 ms of each other; every
rendition as long as expected to a frame, pictures at equal steps.
"""

import contextlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from gpu_worker import cli
from gpu_worker.tools import Tools
from tests.gpu_worker.sources import colour, look
from tests.gpu_worker.sources.look import Film, Track
from tests.gpu_worker.sources.make import make
from tests.gpu_worker.sources.pattern import PATCHES
from tests.gpu_worker.sources.source import SIGNALS, Made, Picture, Source

ENVIRON = {"X264_PRESET": "superfast", "ENCODER": "libx264"}
SQUARE_PIXELS = 1.5
AAC_FRAME_SECONDS = 1024 / look.SOUND_HZ
MOST_COMBING = 2.0
"""Luma levels between rows where the bar moves: 1 as it is, 4 without deinterlacing."""
HDR_HUE_DEGREES, HDR_GREY_CHROMA = 12, 3
HDR_WHITE_LIGHTNESS = (70, 95)
"""L* of a diffuse white: below a screen's own, for there must be room for highlights."""
HDR_DARK_LIGHTNESS = 5
"""How far L* of the dark grey may be from the drawn one: shadows and skin keep their place."""
COLOUR_TAGS = {"color_range": "tv", "color_space": "bt709", "color_transfer": "bt709"}
TAGS = {**COLOUR_TAGS, "color_primaries": "bt709", "pix_fmt": "yuv420p"}
SHAPE_TAGS = {"sample_aspect_ratio": "1:1", "field_order": "progressive", "profile": "High"}


@dataclass
class Verdict:
    """What was measured on one source's output, and all that is wrong with it."""

    came: str = ""
    """The renditions, or the code of the refusal."""
    delta_e: float | None = None
    sync_ms: float | None = None
    length_error_ms: float | None = None
    square_pixels: float | None = None
    findings: list[str] = field(default_factory=list)

    def expect(self, holds: bool, finding: str) -> None:
        """Note what is wrong unless it holds."""
        if not holds:
            self.findings.append(finding)


def judge(
    source: Source, folder: Path, tools: Tools, environ: Mapping[str, str] = ENVIRON
) -> Verdict:
    """Make and look with `tools`; convert with what `environ` says."""
    verdict = Verdict()
    answer = _transcode(make(source, folder, tools), source, folder, environ)
    if "error" in answer:
        verdict.came = answer["error"]["code"]
        verdict.expect(answer["error"]["message"].endswith("."), "the message is no sentence")
    else:
        verdict.came = "+".join(rendition["name"] for rendition in answer["renditions"])
    if not isinstance(source.outcome, Made):
        verdict.expect(verdict.came == source.outcome, f"{source.outcome} was expected")
    elif "error" in answer:
        verdict.findings.append(answer["error"]["stderrTail"][-300:] or "it was refused")
    else:
        files = {name: Path(path) for name, path in answer["paths"].items()}
        films = look.films(tools, files["master"], folder)
        if films:
            films.append(look.poster(tools, files["thumbnail"]))
        tracks = look.tracks(tools, files["master"])
        _judge_output(source, source.outcome, films, tracks, verdict)
        if films:
            _judge_tags(tools, files["master"].with_name("360p_000.ts"), verdict)
        notes = json.loads(files["extras"].read_text())["notes"]
        verdict.expect(not notes, f"there are notes: {notes}")
        verdict.expect(
            ("waveform" in files) == bool(tracks), "sound and waveform do not go together"
        )
        if "waveform" in files:
            _judge_waveform(files["waveform"], source.outcome, tracks, verdict)
    return verdict


def _transcode(
    path: Path, source: Source, folder: Path, environ: Mapping[str, str]
) -> dict[str, Any]:
    wanted = ["--type", source.wanted] if source.wanted else []
    said, out = io.StringIO(), str(folder / "out")
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
        cli.main(["transcode", str(path), "--out", out, "--json", *wanted], environ)
    answer: dict[str, Any] = json.loads(said.getvalue())
    return answer


def _judge_output(
    source: Source, made: Made, films: list[Film], tracks: list[Track], verdict: Verdict
) -> None:
    """`films` end with the poster."""
    renditions = films[:-1]
    for part in (*renditions, *tracks):
        verdict.expect(not part.complaints, f"{part.name}: {part.complaints[:200]}")
    if source.content is not None:
        return
    _judge_lengths(source, made, renditions, tracks, verdict)
    _judge_sync(made, renditions, tracks, verdict)
    if source.picture is not None and films:
        rungs, size = len(renditions), made.size or source.picture.size
        verdict.expect(rungs == made.rungs, f"{rungs} renditions, not {made.rungs}")
        verdict.expect(films[0].size == size, f"{films[0].size} is not {size}")
        for film in films:
            _judge_picture(source.picture, made, film, verdict)


def _judge_lengths(
    source: Source, made: Made, films: list[Film], tracks: list[Track], verdict: Verdict
) -> None:
    rate = Fraction(made.rate or (source.picture.rate if source.picture else 0))
    frame = float(1 / rate) if films else AAC_FRAME_SECONDS
    expected = made.seconds or _natural_seconds(source, films)
    # The playlist of an AAC track counts the encoder's priming frame, which is not heard.
    lengths = [film.seconds for film in films]
    lengths += [track.seconds - AAC_FRAME_SECONDS for track in tracks]
    worst = max((length - expected for length in lengths), key=abs)
    verdict.length_error_ms = worst * 1000
    allowed = max(frame, AAC_FRAME_SECONDS) + made.tolerance_seconds + 0.001
    verdict.expect(abs(worst) <= allowed, f"{expected + worst:.3f} s, not {expected:.3f}")
    for film in films:
        steps = np.diff(film.times)
        even = len(steps) == 0 or float(np.abs(steps - frame).max()) < 0.001
        verdict.expect(even, f"{film.name}: pictures are not {frame:.4f} s apart")
        shown = len(film.times) * frame
        verdict.expect(abs(shown - film.seconds) < 0.001, f"{film.name}: shows {shown:.3f} s")


def _natural_seconds(source: Source, films: list[Film]) -> float:
    if source.picture is None or not films:
        return source.sounds[0].seconds
    rate = Fraction(source.picture.rate)
    return float(max(1, round(source.picture.seconds * rate)) / rate)


def _judge_sync(made: Made, films: list[Film], tracks: list[Track], verdict: Verdict) -> None:
    flashes = [look.flash_seconds(film) for film in films] if made.flash else []
    verdict.expect(all(flash is not None for flash in flashes), "there is no flash")
    beeps = [look.beep_seconds(track) for track in tracks] if made.beep else []
    verdict.expect(all(beep is not None for beep in beeps), "there is no beep")
    apart = [beep - flash for beep in beeps for flash in flashes if beep and flash]
    if apart:
        worst = max(apart, key=abs)
        verdict.sync_ms = worst * 1000
        verdict.expect(abs(worst) <= made.sync_seconds, f"sound is {worst * 1000:.0f} ms late")


def _judge_picture(picture: Picture, made: Made, film: Film, verdict: Verdict) -> None:
    off = look.square_error(film)
    verdict.square_pixels = max(off, verdict.square_pixels or 0)
    verdict.expect(off <= SQUARE_PIXELS, f"{film.name}: the square's sides are {off:.1f} px off")
    if SIGNALS[picture.signal].hdr:
        verdict.findings += (f"{film.name}: {wrong}" for wrong in _hdr_findings(film))
    else:
        patch, distance = look.worst_patch(film)
        verdict.delta_e = max(distance, verdict.delta_e or 0)
        verdict.expect(distance <= made.delta_e, f"{film.name}: {patch} is ΔE {distance:.1f} off")
    if picture.moving and len(film.luma) > 1:
        combed = look.combing(film)
        verdict.expect(combed < MOST_COMBING, f"{film.name}: combed by {combed:.1f}")


def _hdr_findings(film: Film) -> Iterator[str]:
    """Tone mapping has no one right answer: hues and greys stay, white is bright but not full."""
    for name, patch in PATCHES.items():
        if name == "surround":
            continue
        wanted, found = (colour.lab(rgb) for rgb in (np.array(patch.rgb), look.seen(film, patch)))
        if name in {"grey", "square"}:
            if float(np.hypot(found[1], found[2])) > HDR_GREY_CHROMA:
                yield f"{name} is tinted"
        else:
            turn = colour.hue_degrees(found) - colour.hue_degrees(wanted)
            if abs((turn + 180) % 360 - 180) > HDR_HUE_DEGREES:
                yield f"the hue of {name} is {float(turn):.0f}° off"
    white, dark = (colour.lab(look.seen(film, PATCHES[name]))[0] for name in ("square", "grey"))
    if not HDR_WHITE_LIGHTNESS[0] <= white <= HDR_WHITE_LIGHTNESS[1]:
        yield f"white has L* {white:.0f}"
    if abs(dark - colour.lab(np.array(PATCHES["grey"].rgb))[0]) > HDR_DARK_LIGHTNESS:
        yield f"dark grey has L* {dark:.0f}"


def _judge_tags(tools: Tools, segment: Path, verdict: Verdict) -> None:
    found = look.tags(tools, segment)
    wrong = {name: found.get(name) for name, value in TAGS.items() if found.get(name) != value}
    shape = {
        name: found.get(name) for name, value in SHAPE_TAGS.items() if found.get(name) != value
    }
    verdict.expect(not wrong | shape, f"tagged {wrong | shape}")


def _judge_waveform(path: Path, made: Made, tracks: list[Track], verdict: Verdict) -> None:
    document = json.loads(path.read_text())
    pixels = np.abs(np.array(document["data"])).reshape(-1, 2).max(axis=1)
    seconds = document["samples_per_pixel"] / document["sample_rate"]
    length = len(pixels) * seconds
    verdict.expect(abs(length - tracks[0].seconds) < 0.1, f"the waveform shows {length:.2f} s")
    if made.beep and tracks:
        at = int(np.argmax(pixels > 0.5 * pixels.max())) * seconds
        heard = (look.beep_seconds(tracks[0]) or 0) - tracks[0].begins
        verdict.expect(abs(at - heard) < 0.06, f"the waveform's beep is at {at:.2f} s")
