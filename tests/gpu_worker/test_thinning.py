"""Rungs that add nothing, by setting."""

import json
import subprocess
from pathlib import Path

import pytest

from gpu_worker.playlist import MediaPlaylist, Segment, Variant
from gpu_worker.settings import EncodeSettings
from gpu_worker.thinning import remove_unused, worth_keeping
from gpu_worker.tools import Tools
from tests.gpu_worker import hls
from tests.gpu_worker.conftest import Transcode


def ladder_of(*rates: tuple[int, int]) -> list[Variant]:
    """Variants with these kilobits a second at the peak and on average."""
    segment = Segment("a.ts", 6.0, 1)
    return [
        Variant(MediaPlaylist(str(number), (segment,)), "avc1", 1000 * peak, 1000 * average)
        for number, (peak, average) in enumerate(rates)
    ]


@pytest.mark.parametrize(
    ("rates", "kept"),
    [
        ([(5000, 4000), (2500, 2000), (1000, 900), (500, 450)], "0123"),
        ([(738, 700), (438, 400), (308, 290), (184, 170)], "0123"),  # a lecture
        ([(150, 145), (146, 141), (142, 138), (75, 72)], "03"),  # black, under music
        ([(200, 180), (170, 150), (150, 130), (125, 110)], "02"),  # against what was kept
        ([(200, 100), (100, 99)], "01"),  # by its peak
        ([(200, 150), (199, 100)], "01"),  # on average
        ([(100, 90), (140, 130)], "0"),
        ([(100, 90)], "0"),
    ],
)
def test_rungs_are_kept_that_take_clearly_less(rates: list[tuple[int, int]], kept: str) -> None:
    chosen = worth_keeping(ladder_of(*rates), 1.25)
    assert "".join(variant.playlist.name for variant in chosen) == kept


def test_it_is_off_unless_set() -> None:
    assert EncodeSettings().min_rung_step is None
    assert EncodeSettings.from_environ({"MIN_RUNG_STEP": "1.25"}).min_rung_step == 1.25


def test_an_init_section_goes_with_its_rendition(tmp_path: Path) -> None:
    segment = Segment("a.m4s", 6.0, 1)
    names = ("kept", "gone", "sound")
    kept, gone, sound = (MediaPlaylist(name, (segment,), f"{name}.mp4") for name in names)
    for name in ("kept.m3u8", "kept.mp4", "gone.m3u8", "gone.mp4", "a.m4s"):
        (tmp_path / name).touch()
    variant = Variant(kept, "hvc1", 1, 1, audio=sound)
    assert remove_unused(tmp_path, [variant], [kept, gone, sound]) == [kept, sound]
    assert {path.name for path in tmp_path.iterdir()} == {"kept.m3u8", "kept.mp4"}


@pytest.fixture(scope="module")
def still(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven seconds of one grey under a tone."""
    path = tmp_path_factory.mktemp("still") / "still.mp4"
    command = [tools.ffmpeg, "-v", "error", "-nostdin", "-f", "lavfi", "-i"]
    command += ["color=gray:size=1280x720:rate=10:duration=7", "-f", "lavfi", "-i", "sine=d=7"]
    command += ["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", str(path)]
    subprocess.run(command, check=True, timeout=60)
    return path


async def test_what_is_left_out_leaves_nothing_behind(
    transcode: Transcode, still: Path, tools: Tools
) -> None:
    whole = await transcode(still)
    assert [variant.playlist.name for variant in whole.variants] == ["720p", "480p", "360p"]
    thin = await transcode(still, min_rung_step=1.25)
    assert [variant.playlist.name for variant in thin.variants] == ["720p", "360p"]
    names = {path.name for path in thin.folder.iterdir()}
    gone = {path.name for path in whole.folder.iterdir()} - names
    assert gone == {"480p.m3u8", "480p-iframes.m3u8", "480p_000.ts", "480p_001.ts"}
    assert json.loads((thin.folder / "conformance.json").read_text())["passed"]
    assert {p.uri for p in hls.master(thin.folder).playlists} == {"720p.m3u8", "360p.m3u8"}
    assert (thin.width, thin.height) == (1280, 720)

    thinnest = await transcode(still, min_rung_step=2)
    assert [variant.playlist.name for variant in thinnest.variants] == ["720p"]
    names = {path.name for path in thinnest.folder.iterdir()}
    assert not [name for name in names if name.startswith(("480p", "360p", "audio-64k"))]
    assert json.loads((thinnest.folder / "conformance.json").read_text())["passed"]
    shown = hls.streams(tools, thinnest.folder / "preview" / "preview_000.ts")
    assert shown[0]["height"] == 720
