"""Video packages made of real clips, held against the HLS rules of RFC 8216 and Apple."""

from itertools import pairwise
from pathlib import Path

import pytest

from gpu_worker.contract import WorkerErrorCode
from gpu_worker.errors import JobFailed
from gpu_worker.packager import Package
from gpu_worker.tools import Tools
from tests.gpu_worker import hls
from tests.gpu_worker.clips import Clips
from tests.gpu_worker.conftest import Transcode

AAC_FRAME_SECONDS = 1024 / 48_000
"""The encoder's priming frame lies before the first sample."""


def sizes(package: Package) -> list[tuple[int | None, int | None]]:
    return [(variant.width, variant.height) for variant in package.variants]


async def test_renditions_cut_at_the_same_instants_and_begin_with_key_frames(
    transcode: Transcode, clips: Clips, tools: Tools
) -> None:
    package = await transcode(clips["ladder"])
    top, low = (hls.media(package.folder, f"{name}.m3u8") for name in ("480p", "360p"))
    assert hls.lengths(top) == hls.lengths(low) == [6.0, 6.0, 2.0]
    assert top.target_duration == low.target_duration == 6
    assert top.is_endlist
    assert top.playlist_type == "vod"
    for segment in (*top.segments, *low.segments):
        found = hls.packets(tools, package.folder / segment.uri, "v:0")
        keys = [float(p["pts_time"]) for p in found if p["flags"].startswith("K")]
        assert found[0]["flags"].startswith("K")
        gaps = [round(b - a, 3) for a, b in pairwise(keys)]
        assert set(gaps) <= {2.0}, "a key frame every two seconds"


async def test_picture_and_sound_start_together_and_go_on_without_a_gap(
    transcode: Transcode, clips: Clips, tools: Tools
) -> None:
    package = await transcode(clips["ladder"])
    ends: dict[str, float] = {}
    starts: dict[str, float] = {}
    for name, kind in (("480p", "v:0"), ("audio-128k", "a:0"), ("audio-64k", "a:0")):
        for segment in hls.media(package.folder, f"{name}.m3u8").segments:
            found = hls.packets(tools, package.folder / segment.uri, kind)
            first = min(float(p["pts_time"]) for p in found)
            starts.setdefault(name, first)
            assert first == pytest.approx(ends.get(name, first), abs=0.002)
            ends[name] = max(float(p["pts_time"]) + float(p["duration_time"]) for p in found)
    assert starts["audio-128k"] == starts["audio-64k"]
    assert starts["480p"] - starts["audio-128k"] == pytest.approx(AAC_FRAME_SECONDS, abs=0.001)
    assert ends["audio-128k"] == pytest.approx(ends["480p"], abs=0.03)


async def test_multivariant_playlist_tells_the_truth_about_its_variants(
    transcode: Transcode, clips: Clips, tools: Tools
) -> None:
    package = await transcode(clips["ladder"])
    text = (package.folder / "master.m3u8").read_text()
    assert "#EXT-X-INDEPENDENT-SEGMENTS" in text
    for playlist in hls.master(package.folder).playlists:
        info = playlist.stream_info
        sound = next(m for m in playlist.media if m.type == "AUDIO")
        parts = [hls.media(package.folder, uri) for uri in (playlist.uri, sound.uri)]
        rates = [
            [8 * (package.folder / s.uri).stat().st_size / s.duration for s in part.segments[:2]]
            for part in parts
        ]
        whole = sum(
            8 * sum((package.folder / s.uri).stat().st_size for s in part.segments)
            / sum(hls.lengths(part))
            for part in parts
        )  # fmt: skip
        assert info.bandwidth == pytest.approx(sum(map(max, rates)), rel=0.1)
        assert info.average_bandwidth == pytest.approx(whole, rel=0.1)
        found = hls.streams(tools, package.folder / parts[0].segments[0].uri)[0]
        assert info.resolution == (found["width"], found["height"])
        assert info.frame_rate == 25.0
        assert info.closed_captions == "NONE"
        assert found["profile"] == "High"
        assert info.codecs == f"avc1.6400{found['level']:02x},mp4a.40.2"
        assert (found["pix_fmt"], found["color_space"]) == ("yuv420p", "bt709")
        assert found["sample_aspect_ratio"] == "1:1"


async def test_every_rendition_decodes_without_a_complaint(
    transcode: Transcode, clips: Clips, tools: Tools
) -> None:
    package = await transcode(clips.sample)
    assert hls.complaints(tools, package.folder / "master.m3u8") == ""
    assert hls.complaints(tools, package.folder / "preview" / "preview.m3u8") == ""
    assert sizes(package) == [(1280, 720), (854, 480), (640, 360)]
    sound = hls.streams(tools, package.folder / "audio-64k_000.ts")[0]
    assert (sound["profile"], sound["channels"], sound["sample_rate"]) == ("LC", 2, "48000")


async def test_sound_keeps_near_its_bit_rate_in_the_transport_stream(
    transcode: Transcode, clips: Clips
) -> None:
    package = await transcode(clips["surround"], "audio")
    assert package.variants[1].average_bandwidth_bps < 80_000


async def test_poster_is_the_frame_at_a_tenth(
    transcode: Transcode, clips: Clips, tools: Tools
) -> None:
    package = await transcode(clips.sample)
    poster = hls.picture(tools, ["-i", str(package.folder / "poster.jpg")], 1280, 720)
    at = str(package.duration_seconds * 0.1)
    truth = hls.picture(tools, ["-ss", at, "-i", str(clips.sample)], 1280, 720)
    later = hls.picture(tools, ["-ss", "2.5", "-i", str(clips.sample)], 1280, 720)
    assert hls.psnr_db(poster, truth) > 32
    assert hls.psnr_db(poster, later) < 25


async def test_preview_is_the_first_thirty_seconds_copied(
    transcode: Transcode, clips: Clips
) -> None:
    package = await transcode(clips["long"])
    preview = hls.media(package.folder / "preview", "preview.m3u8")
    assert hls.lengths(preview) == [6.0] * 5
    assert package.duration_seconds == 35.0


async def test_preview_of_a_short_clip_is_the_whole_with_sound(
    transcode: Transcode, clips: Clips, tools: Tools
) -> None:
    package = await transcode(clips.sample)
    preview = hls.media(package.folder / "preview", "preview.m3u8")
    assert hls.lengths(preview) == [5.28]
    found = hls.streams(tools, package.folder / "preview" / preview.segments[0].uri)
    assert [s["codec_name"] for s in found] == ["h264", "aac"]
    assert found[0]["height"] == 720
    apart = float(found[0]["start_time"]) - float(found[1]["start_time"])
    assert apart == pytest.approx(AAC_FRAME_SECONDS, abs=0.002), "as far as in the renditions"


async def test_a_clip_without_sound_has_no_audio_group(transcode: Transcode, clips: Clips) -> None:
    package = await transcode(clips.silent)
    playlist = hls.master(package.folder)
    assert not playlist.media
    assert [p.stream_info.codecs for p in playlist.playlists] == ["avc1.640015"]
    assert sizes(package) == [(640, 272)], "the lowest rung stays, at the size of the source"


async def test_all_four_rungs_when_forced(transcode: Transcode, clips: Clips) -> None:
    package = await transcode(clips["ten_bit"], force_full_ladder=True)
    assert sizes(package) == [(1920, 1080), (1280, 720), (854, 480), (640, 360)]


async def test_a_text_file_is_unreadable_in_words_a_creator_understands(
    transcode: Transcode, clips: Clips
) -> None:
    with pytest.raises(JobFailed) as failure:
        await transcode(clips.text())
    assert failure.value.code is WorkerErrorCode.INPUT_UNREADABLE
    assert failure.value.sentence.startswith("This file is not a video or audio file we can read.")
    assert "/" not in failure.value.stderr_tail, "no path of this machine"


async def test_sound_alone_is_no_video(transcode: Transcode, clips: Clips) -> None:
    for clip in ("wav", "mp3"):
        with pytest.raises(JobFailed) as failure:
            await transcode(clips[clip], "video")
        assert failure.value.code is WorkerErrorCode.NO_MEDIA_STREAM


@pytest.mark.parametrize(
    "limit", [{"max_duration_seconds": 1}, {"max_pixels": 1000}, {"max_side_pixels": 200}]
)
async def test_what_is_above_a_limit_is_too_large(
    transcode: Transcode, clips: Clips, limit: dict[str, int]
) -> None:
    with pytest.raises(JobFailed) as failure:
        await transcode(clips.sample, "video", **limit)
    assert failure.value.code is WorkerErrorCode.INPUT_TOO_LARGE


async def test_no_place_and_no_title_of_the_source_is_copied(
    transcode: Transcode, clips: Clips, tools: Tools, tmp_path: Path
) -> None:
    package = await transcode(clips.sample)
    tags = [s.get("tags", {}) for s in hls.streams(tools, package.folder / "720p_000.ts")]
    assert all(not set(tag) - {"language"} for tag in tags)
    assert "tags" not in str(package.probe)
    assert str(clips.sample) not in str(package.probe)
