"""Loudness by EBU R 128: measured in the pass, and made as wanted by setting."""

import re
import subprocess
from pathlib import Path

import pytest

from gpu_worker import loudness
from gpu_worker.contract import EXTRAS_NAME
from gpu_worker.contract_extras import Extras, Loudness
from gpu_worker.tools import Tools
from tests.gpu_worker.clips import Clips
from tests.gpu_worker.conftest import Transcode


def summary(tools: Tools, path: Path) -> tuple[float, float, float]:
    """Integrated loudness, range and true peak as ffmpeg's own summary has them."""
    command = [tools.ffmpeg, "-nostdin", "-i", str(path), "-map", "0:a"]
    command += ["-af", "aresample=48000,aformat=channel_layouts=stereo,ebur128=peak=true"]
    done = subprocess.run([*command, "-f", "null", "-"], check=True, capture_output=True)
    text = done.stderr.decode().rpartition("Summary:")[2]
    figures = (re.search(rf"{name}:\s+(-?[\d.]+)", text) for name in ("I", "LRA", "Peak"))
    integrated, span, peak = (float(found[1]) for found in figures if found)
    return integrated, span, peak


def told(folder: Path) -> Loudness:
    extras = Extras.model_validate_json((folder / EXTRAS_NAME).read_bytes())
    assert extras.notes == ()
    assert extras.loudness is not None
    assert not (folder / loudness.MEASURED).exists()
    return extras.loudness


def test_the_figures_are_those_of_a_measurement_by_itself(
    good: Path, tools: Tools, clips: Clips
) -> None:
    figures = told(good)
    assert (figures.integrated_lufs, figures.range_lu, figures.true_peak_dbtp) == pytest.approx(
        summary(tools, clips["ladder"]), abs=0.15
    )
    assert figures.gain_db == 0


async def test_sound_is_made_as_loud_as_the_setting_wants(
    transcode: Transcode, tools: Tools, clips: Clips
) -> None:
    before = summary(tools, clips["wav"])[0]
    package = await transcode(clips["wav"], "audio", loudness_target_lufs=before - 6)
    figures = told(package.folder)
    assert figures.gain_db == pytest.approx(-6, abs=0.15)
    assert figures.integrated_lufs == pytest.approx(before - 6, abs=0.15)
    assert summary(tools, package.folder / "128k_000.ts")[0] == pytest.approx(before - 6, abs=0.5)


def test_a_gain_stops_below_the_true_peak_that_is_allowed() -> None:
    quiet = Loudness(integrated_lufs=-30.0, range_lu=5.0, true_peak_dbtp=-12.0)
    assert loudness.gain_db(quiet, -23.0) == 7.0
    assert loudness.gain_db(quiet, -14.0) == 11.0
    assert loudness.gain_db(Loudness(integrated_lufs=-8, true_peak_dbtp=0.5), -14.0) == -6.0
    assert loudness.gain_db(Loudness(), -14.0) == 0.0


BLOCK = (
    "frame:{0} pts:1 pts_time:0.1\nlavfi.r128.M=-1\nlavfi.r128.I={1}\nlavfi.r128.LRA={2}\n"
    "lavfi.r128.true_peaks_ch0=0.25\nlavfi.r128.true_peaks_ch1={3}\nlavfi.r128.true_peak=9\n"
)


def test_the_last_figures_count(tmp_path: Path) -> None:
    path = tmp_path / loudness.MEASURED
    path.write_text("".join(BLOCK.format(n, -40 + n / 10, n / 100, 0.5) for n in range(200)))
    assert loudness.read(path) == Loudness(integrated_lufs=-20.1, range_lu=2.0, true_peak_dbtp=-6.0)
    assert not path.exists()


def test_silence_has_no_figures_and_a_file_without_them_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / loudness.MEASURED
    path.write_text(BLOCK.format(0, "-70.000", "0.000", "0.000").replace("=0.25", "=0.000"))
    assert loudness.read(path) == Loudness()
    path.write_text("frame:0\n")
    for _ in ("a file without figures", "no file"):
        with pytest.raises(ValueError, match="not measured"):
            loudness.read(path)
