"""Films made in chunks: the plan, and no seam when they are put together."""

import math
import re
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest

from gpu_worker import chunks, ffmpeg
from gpu_worker.chunked import LocalBoard
from gpu_worker.chunks import Chunk
from gpu_worker.contract import WorkerErrorCode
from gpu_worker.contract_extras import Extras
from gpu_worker.errors import JobFailed
from gpu_worker.packager import Package, Packager
from gpu_worker.settings import EncodeSettings
from gpu_worker.tools import EncoderChoice, Tools
from gpu_worker.transport import Segment, read_segment
from tests.gpu_worker import hls
from tests.gpu_worker.clips import Clips
from tests.gpu_worker.test_ffmpeg import video_job

NTSC = Fraction(30000, 1001)
RATES = [Fraction(24000, 1001), Fraction(25), NTSC, Fraction(30), Fraction(60000, 1001)]
MOVING = "-f lavfi -i testsrc2=s=192x108:r={rate}:d={seconds} "
MOST_BYTES = 750_000
X264 = "-c:v libx264 -preset ultrafast -bf 2 -g 250"
SOURCES = {
    "29.97": ("a.mp4", MOVING.format(rate="30000/1001", seconds=26) + X264),
    "59.94": ("b.mkv", MOVING.format(rate="60000/1001", seconds=20) + X264),
    # Pictures at odd times, and none at all around the cut at 12 seconds.
    "variable": (
        "c.mkv",
        MOVING.format(rate=30, seconds=26)
        + "-vf select=mod(n*n\\,5)*not(between(n\\,340\\,380)) -fps_mode vfr "
        + X264,
    ),
    "promising": (
        "e.mp4",
        MOVING.format(rate=25, seconds=26) + X264 + " -movflags +faststart",
    ),
    # The picture begins within the second chunk; until then its first frame stands.
    "late": (
        "d.mkv",
        "-f lavfi -i sine=d=26 -itsoffset 13.5 "
        + MOVING.format(rate=25, seconds=12.5)
        + X264
        + " -c:a aac",
    ),
}


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("length", [13.0, 61.234, 7234.5])
def test_chunks_hold_every_picture_and_every_segment_once(rate: Fraction, length: float) -> None:
    made = chunks.plan(rate, length, 300)
    assert [c.number for c in made] == list(range(len(made)))
    assert [c.first_frame for c in made] == [0, *(c.end_frame for c in made[:-1])]
    assert made[-1].end_frame == chunks.frames_in(length, rate)
    assert sum(c.segments for c in made) == made[-1].first_segment + made[-1].segments
    assert [c.is_last for c in made] == [False] * (len(made) - 1) + [True]


@pytest.mark.parametrize("rate", RATES)
def test_a_chunk_is_cut_where_one_pass_would_cut(rate: Fraction) -> None:
    """ffmpeg cuts at the first key frame that is not before `hls_time` times a number."""
    for chunk in chunks.plan(rate, 4 * 3600, 300):
        each = chunk.segment_time(rate)
        for number in range(chunk.segments):
            begins = chunks.first_frame(chunk.first_segment + number, rate)
            before = math.ceil(((chunk.first_segment + number) * 6 - 2) * rate)
            assert (begins - chunk.first_frame) / rate >= number * each
            assert (before - chunk.first_frame) / rate < number * each or number == 0


def test_the_last_chunk_is_more_than_a_segment() -> None:
    assert [c.segments for c in chunks.plan(Fraction(25), 13, 6)] == [1, 2]
    assert [c.segments for c in chunks.plan(Fraction(25), 5, 6)] == [1]


def test_a_film_of_few_pictures_is_not_cut() -> None:
    assert len(chunks.plan(Fraction(9, 5), 3600, 60)) == 1


def test_a_chunk_begins_at_a_key_frame_and_keeps_the_times_of_the_film() -> None:
    chunk = Chunk(1, 2, 2, 360, 720, lead_seconds=1.0)
    argv = ffmpeg.video_pass("ffmpeg", video_job(audio=None, chunk=chunk))
    assert argv[9:15] == [
        "0.5", "-copyts", "-start_at_zero", "-noaccurate_seek", "-ss", "11.012",
    ]  # fmt: skip
    graph = argv[argv.index("-filter_complex") + 1]
    assert graph.startswith("[0:0]fps=30000/1001,trim=start_pts=360:end_pts=720,")
    assert "tpad" not in graph
    assert "poster" not in graph
    keys = argv[argv.index("-force_key_frames") + 1]
    assert keys == "expr:gte((n+360)*1001,(n_forced+6)*60000)"
    assert argv[-20:] == [
        "-fps_mode", "passthrough", "-frames:v", "360",
        "-map_metadata", "-1", "-map_chapters", "-1", "-output_ts_offset", "10",
        "-start_number", "2", "-f", "hls", "-hls_time", "5.9879", "-hls_flags", "temp_file",
        "-hls_playlist_type", "vod", "-hls_segment_filename", "360p_%03d.ts", "360p.m3u8",
    ][-20:]  # fmt: skip


async def package(
    tools: Tools,
    source: Path,
    folder: Path,
    board: LocalBoard | None = None,
    *,
    seconds: float = 12,
    most_bytes: int = 10**9,
) -> Package:
    settings = EncodeSettings(
        x264_preset="superfast",
        chunk_min_seconds=12,
        chunk_seconds=seconds,
        max_output_bytes=most_bytes,
    )
    packager = Packager(tools, EncoderChoice("libx264"), settings, board)
    return await packager.package(source, "video", folder, lambda _share: None)


def source_of(name: str, tools: Tools, folder: Path) -> Path:
    file_name, arguments = SOURCES[name]
    command = [tools.ffmpeg, "-v", "error", "-nostdin", *arguments.split(), str(folder / file_name)]
    subprocess.run(command, check=True, timeout=60)
    return folder / file_name


def instants(segment: Segment) -> tuple[list[int], ...]:
    """When its pictures are shown and decoded, and which of them are IDR."""
    return (
        segment.presented.tolist(),
        segment.decoded.tolist(),
        sorted(segment.presented[segment.idr].tolist()),
    )


def worst_psnr_db(tools: Tools, one: Path, other: Path) -> float:
    """Of the pair of pictures that are least alike."""
    command = [tools.ffmpeg, "-v", "error", "-nostdin", "-protocol_whitelist", "file"]
    command += ["-i", str(one), "-i", str(other), "-lavfi", "psnr=stats_file=-", "-f", "null", "-"]
    said = subprocess.run(command, check=True, capture_output=True, timeout=60, text=True).stdout
    found = re.findall(r"psnr_avg:(\S+)", said)
    return min(99.0 if worth == "inf" else float(worth) for worth in found)


def assert_seamless(tools: Tools, one: Package, pieces: Package) -> None:
    """The same pictures at the same times, in the same segments; decoded without a complaint."""
    assert pieces.tries == 1
    listed = sorted(path.name for path in one.folder.rglob("*"))
    assert sorted(path.name for path in pieces.folder.rglob("*")) == listed
    for variant in one.variants:
        name = variant.playlist.uri
        segments = variant.playlist.segments
        for segment in segments:
            whole, part = (read_segment(p.folder / segment.uri) for p in (one, pieces))
            # The order among B frames is the encoder's own affair.
            assert list(map(sorted, instants(whole))) == list(map(sorted, instants(part)))
        lengths = [hls.lengths(hls.media(p.folder, name)) for p in (one, pieces)]
        assert lengths[0] == pytest.approx(lengths[1], abs=0.003)
    assert hls.complaints(tools, pieces.folder / "master.m3u8") == ""
    for variant in one.variants:
        uri = variant.playlist.uri
        assert worst_psnr_db(tools, one.folder / uri, pieces.folder / uri) > 27


@pytest.mark.parametrize("name", ["29.97", "59.94", "variable", "late"])
async def test_no_seam_whatever_the_pictures_times_are(
    name: str, tools: Tools, tmp_path: Path
) -> None:
    source = source_of(name, tools, tmp_path)
    for folder in ("one", "pieces"):
        (tmp_path / folder).mkdir()
    one = await package(tools, source, tmp_path / "one")
    pieces = await package(tools, source, tmp_path / "pieces", LocalBoard(2))
    assert_seamless(tools, one, pieces)


async def test_sound_and_extras_are_those_of_one_pass(
    tools: Tools, clips: Clips, good: Path, tmp_path: Path
) -> None:
    pieces = await package(tools, clips["ladder"], tmp_path, LocalBoard(1), seconds=6)
    assert pieces.tries == 1
    whole, made = ({path.name: path for path in folder.rglob("*")} for folder in (good, tmp_path))
    assert made.keys() == whole.keys()
    same = [name for name in whole if name.startswith("audio-") or name in {"waveform.json"}]
    assert len(same) == 9
    for name in (*same, "480p.m3u8", "360p.m3u8"):
        assert made[name].read_bytes() == whole[name].read_bytes(), name
    told = [Extras.model_validate_json(p["extras.json"].read_bytes()) for p in (whole, made)]
    assert told[0].storyboard == told[1].storyboard
    assert told[0].loudness == told[1].loudness
    assert not told[1].notes
    assert hls.complaints(tools, tmp_path / "master.m3u8") == ""


async def test_a_film_that_breaks_off_is_made_in_one_pass(tools: Tools, tmp_path: Path) -> None:
    """Its container promises more than there is: a whole chunk has no picture."""
    source = source_of("promising", tools, tmp_path)
    content = source.read_bytes()
    source.write_bytes(content[: len(content) * 2 // 5])
    (tmp_path / "made").mkdir()
    made = await package(tools, source, tmp_path / "made", LocalBoard(2), seconds=6)
    assert made.tries == 2
    assert 6 < made.duration_seconds < 14
    assert not list((tmp_path / "made").rglob(".*"))


async def test_chunks_are_not_more_together_than_a_film_may_be(
    tools: Tools, tmp_path: Path
) -> None:
    source = source_of("29.97", tools, tmp_path)
    (tmp_path / "made").mkdir()
    with pytest.raises(JobFailed) as failure:
        await package(tools, source, tmp_path / "made", LocalBoard(1), most_bytes=MOST_BYTES)
    assert failure.value.code is WorkerErrorCode.INPUT_TOO_LARGE
    made = [path.stat().st_size for path in (tmp_path / "made").glob("*.ts")]
    assert len(made) == 5, "each chunk alone was small enough"
