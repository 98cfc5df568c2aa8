"""Audio packages made of real files."""

import json

import pytest

from gpu_worker.tools import Tools
from tests.gpu_worker import hls
from tests.gpu_worker.clips import Clips
from tests.gpu_worker.conftest import Transcode


@pytest.mark.parametrize("clip", ["wav", "mp3", "surround"])
async def test_audio_becomes_two_renditions_a_preview_and_a_waveform(
    transcode: Transcode, clips: Clips, tools: Tools, clip: str
) -> None:
    package = await transcode(clips[clip], "audio")
    assert hls.complaints(tools, package.folder / "master.m3u8") == ""
    playlists = hls.master(package.folder).playlists
    assert [p.uri for p in playlists] == ["128k.m3u8", "64k.m3u8"]
    assert {p.stream_info.codecs for p in playlists} == {"mp4a.40.2"}
    assert {p.stream_info.resolution for p in playlists} == {None}
    assert (package.encoder, package.width) == ("aac", None)
    preview = hls.media(package.folder / "preview", "preview.m3u8")
    assert sum(hls.lengths(preview)) == pytest.approx(package.duration_seconds, abs=0.05)
    document = json.loads((package.folder / "waveform.json").read_text())
    assert document["length"] / 20 == pytest.approx(package.duration_seconds, abs=0.1)
    assert not (package.folder / "poster.jpg").exists()


async def test_the_sound_of_a_video_is_taken_when_audio_is_wanted(
    transcode: Transcode, clips: Clips
) -> None:
    package = await transcode(clips.sample, "audio")
    assert [v.playlist.name for v in package.variants] == ["128k", "64k"]
    assert package.duration_seconds == pytest.approx(5.3, abs=0.1)


async def test_every_segment_but_the_last_lasts_six_seconds(
    transcode: Transcode, clips: Clips
) -> None:
    package = await transcode(clips["ladder"], "audio")
    high, low = (hls.media(package.folder, f"{name}.m3u8") for name in ("128k", "64k"))
    assert hls.lengths(high) == hls.lengths(low)
    assert hls.lengths(high)[:-1] == pytest.approx([6.0, 6.0], abs=0.03)
    assert high.target_duration == low.target_duration == 6
