"""Measuring and writing playlists, by hand-made figures."""

import math
from pathlib import Path

import pytest

from gpu_worker import playlist
from gpu_worker.playlist import MediaPlaylist, Segment, Variant


def rendition(name: str, *segments: tuple[float, int]) -> MediaPlaylist:
    return MediaPlaylist(
        name, tuple(Segment(f"{name}_{n:03}.ts", s, b) for n, (s, b) in enumerate(segments))
    )


def test_peak_is_taken_over_runs_of_half_to_one_and_a_half_targets() -> None:
    short_end = rendition("720p", (6.0, 600_000), (6.0, 900_000), (0.5, 500_000))
    # The last segment alone has 8 Mb/s, yet lasts less than half a target: it counts with the
    # one before, 6.5 s together.
    assert playlist.peak_bps(short_end, 6) == math.ceil(8 * 1_400_000 / 6.5)
    assert playlist.average_bps(short_end) == 8 * 2_000_000 / 12.5


def test_peak_of_a_clip_shorter_than_any_run_is_its_rate() -> None:
    assert playlist.peak_bps(rendition("360p", (0.4, 50_000)), 6) == 1_000_000


def test_variants_begin_near_two_megabits_and_then_go_down() -> None:
    rates = {"1080p": 5_400_000, "720p": 2_600_000, "480p": 1_300_000, "360p": 600_000}
    text = playlist.render_multivariant(
        [Variant(rendition(n, (6.0, 1)), "avc1.640028", b, b) for n, b in rates.items()]
    )
    listed = [line for line in text.splitlines() if line.endswith(".m3u8")]
    assert listed == ["720p.m3u8", "1080p.m3u8", "480p.m3u8", "360p.m3u8"]


def test_target_duration_rounds_like_the_players_do() -> None:
    assert playlist.target_duration([rendition("a", (6.4999, 1)), rendition("b", (6.0, 1))]) == 6
    assert playlist.target_duration([rendition("a", (0.2, 1))]) == 1


def test_an_unfinished_playlist_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a_000.ts").write_bytes(b"x")
    (tmp_path / "a.m3u8").write_text("#EXTM3U\n#EXTINF:6.0,\na_000.ts\n")
    with pytest.raises(ValueError, match="not a finished media playlist"):
        playlist.read_media_playlist(tmp_path / "a.m3u8")
