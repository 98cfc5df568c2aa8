"""I-frame playlists: what a player that scrubs loads is one whole picture, each time."""

import re
import subprocess
from pathlib import Path

import pytest

from gpu_worker.contract import WorkerErrorCode
from gpu_worker.errors import JobFailed
from gpu_worker.iframes import IFrame, IFramePlaylist, lines, make_iframes
from gpu_worker.playlist import MediaPlaylist, Segment
from gpu_worker.tools import Tools
from tests.gpu_worker import hls


def test_every_listed_range_decodes_alone_into_one_picture(
    good: Path, tools: Tools, tmp_path: Path
) -> None:
    """As a player does it: the tables before the first I-frame, then the range."""
    playlist = hls.media(good, "360p-iframes.m3u8")
    assert playlist.is_i_frames_only
    assert hls.lengths(playlist) == [2.0] * 7
    first: dict[str, int] = {}
    for number, entry in enumerate(playlist.segments):
        size, offset = map(int, entry.byterange.split("@"))
        content = (good / entry.uri).read_bytes()
        tables = content[: first.setdefault(entry.uri, offset)]
        (tmp_path / f"{number}.ts").write_bytes(tables + content[offset : offset + size])
    clips = sorted(tmp_path.glob("*.ts"))
    command = [tools.ffmpeg, "-v", "warning", "-nostdin"]
    for clip in clips:
        command += ["-i", str(clip)]
    for number in range(len(clips)):
        command += ["-map", str(number)]
    command += ["-f", "framecrc", "-"]
    done = subprocess.run(command, check=True, capture_output=True, timeout=30)
    assert done.stderr.decode() == ""
    frames = [line for line in done.stdout.decode().splitlines() if not line.startswith("#")]
    assert sorted(line.split(",")[0] for line in frames) == [str(n) for n in range(7)]


def test_lines_of_the_multivariant_playlist_come_after_the_variants(good: Path) -> None:
    told = (good / "master.m3u8").read_text().splitlines()[-2:]
    pattern = (
        r"#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=\d+,AVERAGE-BANDWIDTH=\d+,"
        r'CODECS="avc1\.6400[0-9a-f]{2}",RESOLUTION=(\d+x\d+),URI="(\w+-iframes.m3u8)"'
    )
    found = [re.fullmatch(pattern, line) for line in told]
    assert [match and match.groups() for match in found] == [
        ("852x480", "480p-iframes.m3u8"),
        ("640x360", "360p-iframes.m3u8"),
    ]


def test_rates_are_those_of_the_ranges_alone() -> None:
    frames = (IFrame("a_000.ts", 2.0, 564, 5000), IFrame("a_000.ts", 2.0, 9400, 15000))
    made = IFramePlaylist("a", frames, "avc1.640015", 320, 180)
    assert ":BANDWIDTH=60000,AVERAGE-BANDWIDTH=40000," in lines([made])
    assert "#EXT-X-BYTERANGE:15000@9400\na_000.ts\n#EXT-X-ENDLIST\n" in made.render()


@pytest.mark.parametrize("content", [b"\x47\x40\x00\x10" + bytes(184), b"\x47" * 100])
def test_a_segment_that_begins_without_tables_or_a_key_frame_is_invalid(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "a_000.ts").write_bytes(content)
    video = MediaPlaylist("a", (Segment("a_000.ts", 6.0, len(content)),))
    with pytest.raises(JobFailed) as refusal:
        make_iframes(tmp_path, video, codecs="avc1.640015", width=320, height=180)
    assert refusal.value.code is WorkerErrorCode.OUTPUT_INVALID
