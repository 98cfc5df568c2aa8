"""The waveform against a plain reading of audiowaveform's rules, one sample at a time."""

import json
import random
import struct
import subprocess
import wave
from pathlib import Path

import pytest

from gpu_worker.tools import Tools
from gpu_worker.waveform import Heard, Waveform
from tests.gpu_worker.clips import Clips
from tests.gpu_worker.conftest import Transcode
from tests.gpu_worker.test_ffmpeg import video_job


def plain(frames: list[tuple[int, ...]], rate: int) -> list[int]:
    """Minimum and maximum of each pixel; int() of a quotient rounds towards zero."""
    data: list[int] = []
    mono = [int(sum(frame) / len(frame)) for frame in frames]
    for start in range(0, len(mono), rate // 20):
        pixel = mono[start : start + rate // 20]
        data += [int(min(pixel) / 256), int(max(pixel) / 256)]
    return data


@pytest.mark.parametrize("seed", range(50))
def test_equals_the_plain_reading_however_the_pcm_is_cut(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)  # noqa: S311 - reproducible noise
    rate = chance.choice((8000, 11_025, 22_051, 44_100, 48_000, 96_000))
    channels, count = chance.choice((1, 2, 3, 6)), chance.randint(1, rate // 5)
    frames = [
        tuple(chance.choice((-32768, 32767, chance.randint(-300, 300))) for _ in range(channels))
        for _ in range(count)
    ]
    pcm = b"".join(struct.pack(f"<{channels}h", *frame) for frame in frames)
    waveform = Waveform(rate, channels)
    while pcm:
        cut = chance.randint(1, 5000)
        waveform.feed(pcm[:cut])
        pcm = pcm[cut:]
    waveform.finish()
    waveform.write(tmp_path / "waveform.json")
    document = json.loads((tmp_path / "waveform.json").read_text())
    assert document["data"] == plain(frames, rate)
    assert document["length"] == -(-count // (rate // 20)), "the last, short pixel is there"


def test_memory_holds_two_bytes_a_pixel() -> None:
    waveform = Waveform(48_000, 2)
    second = bytes(48_000 * 4)
    for _ in range(600):
        waveform.feed(second)
    assert len(waveform._data) == 600 * 20 * 2
    assert len(waveform._rest) < 2 * 2 * 2400


async def test_waveform_of_a_wav_file_is_that_of_its_samples(
    transcode: Transcode, clips: Clips
) -> None:
    package = await transcode(clips["wav"], "audio")
    with wave.open(str(clips["wav"])) as file:
        rate, channels = file.getframerate(), file.getnchannels()
        raw = file.readframes(file.getnframes())
    samples = struct.unpack(f"<{len(raw) // 2}h", raw)
    frames = list(zip(*(samples[c::channels] for c in range(channels)), strict=True))
    document = json.loads((package.folder / "waveform.json").read_text())
    data = document.pop("data")
    assert document == {
        "version": 2,
        "channels": 1,
        "sample_rate": 44100,
        "samples_per_pixel": 2205,
        "bits": 8,
        "length": len(data) // 2,
    }
    assert data == plain(frames, rate)
    assert max(data) > 5, "the clip is not silent"


def in_integers(tools: Tools, mp3: Path) -> list[tuple[int, ...]]:
    """The stereo samples of an MP3 by ffmpeg's decoder for machines without floating point."""
    command = [tools.ffmpeg, "-v", "error", "-c:a", "mp3", "-i", str(mp3)]
    command += ["-map", "0:a", "-f", "s16le", "-c:a", "pcm_s16le", "-"]
    raw = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
    samples = struct.unpack(f"<{len(raw) // 2}h", raw)
    return list(zip(samples[::2], samples[1::2], strict=True))


async def test_waveform_of_an_mp3_is_within_one_of_another_decoder(
    transcode: Transcode, clips: Clips, tools: Tools
) -> None:
    package = await transcode(clips["mp3"], "audio")
    expected = plain(in_integers(tools, clips["mp3"]), 48_000)
    data = json.loads((package.folder / "waveform.json").read_text())["data"]
    assert len(data) == len(expected)
    assert max(abs(one - other) for one, other in zip(data, expected, strict=True)) <= 1
    assert max(data) > 5, "the clip is not silent"


def test_a_film_has_the_waveform_of_its_sound_as_long_as_the_film(
    good: Path, tools: Tools, clips: Clips
) -> None:
    command = [tools.ffmpeg, "-v", "error", "-nostdin", "-i", str(clips["ladder"]), "-map", "0:a"]
    pcm = subprocess.run([*command, "-f", "s16le", "-"], check=True, capture_output=True).stdout
    made = json.loads((good / "waveform.json").read_text())
    alone = Waveform(made["sample_rate"], 2)
    alone.feed(pcm)
    alone.finish()
    alone.write(good.parent / "alone.json")
    reference = json.loads((good.parent / "alone.json").read_text())
    assert made["length"] == 14 * 20
    assert made["samples_per_pixel"] == reference["samples_per_pixel"]
    whole = 2 * min(made["length"], reference["length"] - 1)
    assert whole > 2 * 13 * 20
    assert made["data"][:whole] == reference["data"][:whole]
    assert max(made["data"]) > 5


def test_progress_comes_from_the_sound_where_there_is_some() -> None:
    shares: list[float] = []
    heard = Heard(video_job(waveform_rate_hz=1000, length_seconds=4.0), shares.append)
    heard.take(bytes(2 * 6 * 1000))
    heard.take(bytes(2 * 6 * 9000))
    assert shares == [0.25, 1.0]


def test_progress_comes_from_ffmpeg_where_there_is_none(tmp_path: Path) -> None:
    shares: list[float] = []
    heard = Heard(video_job(audio=None, length_seconds=4.0), shares.append)
    heard.take(b"out_time_us=1000000\nprogress=continue\n")
    assert shares == [0.25]
    heard.write(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_sound_of_which_nothing_was_decoded_has_no_waveform(tmp_path: Path) -> None:
    heard = Heard(video_job(waveform_rate_hz=1000), lambda _share: None)
    with pytest.raises(ValueError, match="no sound"):
        heard.write(tmp_path)
