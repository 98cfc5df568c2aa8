"""Rungs in HEVC and AV1 beside those in H.264, and how the gate looks at them."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from gpu_worker import beside, conformance, ffmpeg, fragments, ladder, manifest
from gpu_worker.contract import WorkerErrorCode
from gpu_worker.errors import JobFailed
from gpu_worker.ladder import Size
from gpu_worker.packager import Package, Packager
from gpu_worker.playlist import read_media_playlist
from gpu_worker.settings import EncodeSettings
from gpu_worker.tools import EncoderChoice, Tools
from tests.gpu_worker import hls
from tests.gpu_worker.claims import identity_of
from tests.gpu_worker.faults_of_hls import Fault, edit, remove
from tests.gpu_worker.outputs import MEDIA_ID
from tests.gpu_worker.test_ffmpeg import CLEAN, video_job


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, tools: Tools) -> Path:
    """Sound, and pictures at 29.97 a second: so many that key frames drift from counts of them."""
    path = tmp_path_factory.mktemp("source") / "clip.mp4"
    command = [tools.ffmpeg, "-v", "error", "-nostdin", "-f", "lavfi", "-i"]
    command += ["testsrc2=size=128x72:rate=30000/1001:duration=38", "-f", "lavfi", "-i"]
    command += ["sine=d=38", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", str(path)]
    subprocess.run(command, check=True, timeout=60)
    return path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def made(tmp_path_factory: pytest.TempPathFactory, tools: Tools, source: Path) -> Package:
    """The package of it."""
    folder = tmp_path_factory.mktemp("beside")
    settings = EncodeSettings(x264_preset="superfast", hevc=True, av1=True)
    packager = Packager(tools, EncoderChoice("libx264"), settings)
    return await packager.package(source, "video", folder, lambda _share: None)


def test_it_is_off_unless_set() -> None:
    assert EncodeSettings().beside == ()
    assert EncodeSettings.from_environ({"HEVC": "true", "AV1": "true"}).beside == ("hevc", "av1")


def test_all_are_variants_of_one_playlist_with_one_sound(made: Package, tools: Tools) -> None:
    report = json.loads((made.folder / "conformance.json").read_text())
    assert report["passed"]
    found = {variant.uri: variant for variant in hls.master(made.folder).playlists}
    assert next(iter(found)) == "360p.m3u8"
    first, second, third = (found[f"360p{kind}.m3u8"] for kind in ("", "-hevc", "-av1"))
    assert first.stream_info.codecs.startswith("avc1.64")
    shown = hls.streams(tools, made.folder / "360p-hevc.m3u8")[0]
    level = shown["level"]
    assert second.stream_info.codecs == f"hvc1.1.6.L{level}.90,mp4a.40.2"
    assert (shown["codec_name"], shown["profile"], shown["codec_tag_string"]) == (
        "hevc", "Main", "hvc1",
    )  # fmt: skip
    assert (shown["pix_fmt"], shown["color_space"], shown["color_range"]) == (
        "yuv420p", "bt709", "tv",
    )  # fmt: skip
    assert first.stream_info.audio == second.stream_info.audio == "audio-64k"
    assert second.stream_info.resolution == (shown["width"], shown["height"]) == (128, 72)
    assert third.stream_info.codecs == "av01.0.00M.08,mp4a.40.2"
    assert third.stream_info.audio == first.stream_info.audio
    shown = hls.streams(tools, made.folder / "360p-av1.m3u8")[0]
    assert (shown["codec_name"], shown["profile"], shown["pix_fmt"]) == ("av1", "Main", "yuv420p")
    assert (shown["color_space"], shown["color_range"]) == ("bt709", "tv")
    assert hls.complaints(tools, made.folder / "master.m3u8") == ""


def test_the_playlist_names_its_init_section_and_a_version_that_knows_it(made: Package) -> None:
    text = (made.folder / "360p-hevc.m3u8").read_text()
    assert '#EXT-X-MAP:URI="360p-hevc_init.mp4"\n' in text
    assert "#EXT-X-VERSION:6\n" in text
    assert "#EXT-X-VERSION:3\n" in (made.folder / "360p.m3u8").read_text()


def test_pictures_are_stamped_and_cut_as_those_of_h264(made: Package, tools: Tools) -> None:
    names = [f"360p{kind}.m3u8" for kind in ("", "-hevc", "-av1")]
    lengths = [hls.lengths(hls.media(made.folder, name)) for name in names]
    assert lengths[0] == lengths[1] == lengths[2]
    assert min(lengths[0][:-1]) < 6, "the clip is too short to drift"
    times = [
        sorted(float(p["pts_time"]) for p in hls.packets(tools, made.folder / name, "v:0"))
        for name in names
    ]
    assert times[0] == pytest.approx(times[1], abs=0.0001)
    assert times[0] == pytest.approx(times[2], abs=0.0001)
    assert len(times[0]) == 1139


def test_the_manifest_lists_init_section_and_segments(made: Package, tmp_path: Path) -> None:
    identity, tree = identity_of(MEDIA_ID, "job-1"), tmp_path / "tree"
    shutil.copytree(made.folder, manifest.make_room(tree, identity.layout), dirs_exist_ok=True)
    built = manifest.build(tree, made, identity, 1.0)
    types = {item.key.rpartition("/")[2]: item.content_type for item in built.objects}
    assert types["360p-hevc_init.mp4"] == "video/mp4"
    assert types["360p-hevc_000.m4s"] == types["360p-hevc_001.m4s"] == "video/iso.segment"
    assert types["360p-av1_init.mp4"] == "video/mp4"
    assert [found.name for found in built.renditions] == ["360p", "360p-hevc", "360p-av1"]


def moved(name: str, ticks: int) -> Fault:
    return lambda folder, _tools: fragments.move(folder / name, ticks)


def both_moved(folder: Path, _tools: Tools) -> None:
    for name in ("360p-hevc_000.m4s", "360p-hevc_001.m4s"):
        fragments.move(folder / name, 30000)


def changed(name: str, old: bytes, new: bytes) -> Fault:
    def break_it(folder: Path, _tools: Tools) -> None:
        content = (folder / name).read_bytes()
        assert content.count(old) >= 1
        (folder / name).write_bytes(content.replace(old, new, 1))

    return break_it


def after(name: str, box: bytes, at: int, content: bytes) -> Fault:
    """Other bytes so many after the name of a box."""

    def patch(folder: Path, _tools: Tools) -> None:
        found = bytearray((folder / name).read_bytes())
        begin = found.index(box) + 4 + at
        found[begin : begin + len(content)] = content
        (folder / name).write_bytes(found)

    return patch


def cut_off(folder: Path, _tools: Tools) -> None:
    path = folder / "360p-hevc_001.m4s"
    path.write_bytes(path.read_bytes()[:-1])


INIT, LIST = "360p-hevc_init.mp4", "360p-hevc.m3u8"
MAIN = b"hvcC\x01\x01"


@pytest.mark.parametrize(
    ("rule", "spoil"),
    [
        ("rfc8216-4.1", remove(INIT)),
        ("rfc8216-4.1", edit(LIST, "#EXT-X-MAP.*\n", "")),
        ("rfc8216-4.1", changed(INIT, b"hvc1", b"hev1")),
        ("rfc8216-4.1", cut_off),
        ("rfc8216-4.1", after("360p-hevc_001.m4s", b"tfdt", 4, b"\xff" * 8)),
        ("rfc8216-7", edit(LIST, "VERSION:6", "VERSION:5")),
        ("rfc8216-6.2.4", both_moved),
        ("apple-7.1", moved("360p-hevc_001.m4s", 3000)),
        ("apple-1.3", changed(INIT, MAIN, b"hvcC\x01\x02")),
        ("apple-1.14", changed(INIT, b"\x60\x00\x00\x00\x90", b"\x60\x00\x00\x00\x50")),
        ("apple-1.21", changed(INIT, b"nclx\x00\x01", b"nclx\x00\x09")),
        ("apple-7.4", changed("360p-hevc_001.m4s", b"\x02\x00\x00\x00", b"\x01\x01\x00\x00")),
        ("apple-9.1", edit("master.m3u8", "hvc1.1.6", "hvc1.2.4")),
        ("rfc8216-4.1", changed("360p-av1_init.mp4", b"av1C", b"av1D")),
        ("apple-1.3", changed("360p-av1_init.mp4", b"av1C\x81\x00", b"av1C\x81\x20")),
        ("apple-1.3", changed("360p-av1_init.mp4", b"av1C\x81\x00", b"av1C\x81\x0e")),
        ("apple-9.1", edit("master.m3u8", "av01.0.00M.08", "av01.0.00M.10")),
        (
            "apple-1.32",
            edit("master.m3u8", r"(#EXT-X-STREAM-INF.*\n.*\n)(#EXT-X-STREAM-INF.*\n.*\n)", r"\2\1"),
        ),
    ],
)
def test_a_broken_rule_is_named(
    made: Package, tmp_path: Path, tools: Tools, rule: str, spoil: Fault
) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(made.folder, folder)
    spoil(folder, tools)
    with pytest.raises(JobFailed) as refusal:
        conformance.check(folder)
    broken = {line.partition(": ")[0] for line in refusal.value.stderr_tail.splitlines()}
    assert rule in broken


def test_no_link_is_followed_where_times_are_set(made: Package, tmp_path: Path) -> None:
    secret, link = tmp_path / "secret", tmp_path / "360p-hevc_000.m4s"
    shutil.copy(made.folder / "360p-hevc_000.m4s", secret)
    before = secret.read_bytes()
    link.symlink_to(secret)
    with pytest.raises(OSError, match="symbolic links"):
        fragments.move(link, 3000)
    assert secret.read_bytes() == before


def written(name: str, content: bytes) -> Fault:
    def write(folder: Path, _tools: Tools) -> None:
        (folder / name).write_bytes(content)

    return write


FIRST = "360p-hevc_000.m4s"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (written(INIT, b"what somebody who took ffmpeg over wrote"), "is cut off"),
        (after(INIT, b"mdhd", 12, bytes(4)), "clock stands still"),
        (after(FIRST, b"tfdt", 4, b"\xff" * 8), "no time that there is"),
    ],
)
def test_what_nobody_would_write_makes_the_output_invalid(
    made: Package, tmp_path: Path, tools: Tools, spoil: Fault, reason: str
) -> None:
    folder = tmp_path / "spoilt"
    shutil.copytree(made.folder, folder)
    spoil(folder, tools)
    rungs = ladder.plan(Size(192, 108))
    with pytest.raises(JobFailed) as refusal:
        beside.finish(folder, "hevc", rungs, read_media_playlist(folder / "360p.m3u8"))
    assert refusal.value.code is WorkerErrorCode.OUTPUT_INVALID
    assert reason in refusal.value.stderr_tail


def test_no_playlist_names_the_file_of_an_initialisation_section(
    made: Package, tmp_path: Path
) -> None:
    """It may name any file that the worker could then read or remove."""
    shutil.copytree(made.folder, tmp_path / "spoilt")
    path = tmp_path / "spoilt" / "360p.m3u8"
    path.write_text(path.read_text().replace("#EXTINF", '#EXT-X-MAP:URI="/a/file"\n#EXTINF', 1))
    assert read_media_playlist(path).initialisation is None


def test_a_run_that_tells_nothing_of_its_pictures_is_refused(made: Package, tmp_path: Path) -> None:
    """It could have thousands of millions in four bytes."""
    path = tmp_path / "few.m4s"
    head = (24).to_bytes(4) + b"tfhd" + bytes([0, 0, 0, 0x28]) + bytes(12)
    time = (16).to_bytes(4) + b"tfdt" + bytes(8)
    run = (16).to_bytes(4) + b"trun" + bytes(4) + b"\xff\xff\xff\xff"
    track = (8 + len(head + time + run)).to_bytes(4) + b"traf" + head + time + run
    path.write_bytes((8 + len(track)).to_bytes(4) + b"moof" + track)
    head_of = fragments.read_initialisation(made.folder / INIT)
    with pytest.raises(ValueError, match="nothing is told"):
        fragments.read_fragment(path, head_of)


@pytest.mark.parametrize(
    ("record", "name"),
    [
        ("0101600000009000000000003c", "hvc1.1.6.L60.90"),
        ("010220000000b000000000007b", "hvc1.2.4.L123.B0"),
        ("01216000000000000000000099", "hvc1.1.6.H153"),
        ("014160000000900000000100 5a".replace(" ", ""), "hvc1.A1.6.L90.90.0.0.0.1"),
    ],
)
def test_the_codecs_parameter_of_a_record(record: str, name: str) -> None:
    assert fragments.hevc_codecs(bytes.fromhex(record)) == name


def test_the_command_line_has_an_output_more_for_each_rung() -> None:
    job = video_job(rungs=ladder.plan(Size(1280, 720))[1:], beside=("hevc", "av1"), audio=None)
    argv = ffmpeg.video_pass("ffmpeg", job)
    graph = argv[argv.index("-filter_complex") + 1]
    smaller = "filter=bicubic:param_a=0:param_b=0.6,setsar=1"
    assert f"[canvas]zscale=854:480:{smaller},split=4[v0][hevc_0][av1_0][c0]" in graph
    assert graph.endswith(f"[c0]zscale=640:360:{smaller},split=3[v1][hevc_1][av1_1]")
    start, end = argv.index("[hevc_1]"), argv.index("[av1_0]")
    keys = ["-g", "60", "-force_key_frames", "expr:gte(t,n_forced*2)"]
    same = ["-profile:v", "main", "-tag:v", "hvc1", "-maxrate", "450k", "-bufsize", "450k", *keys]
    closed = "log-level=error:scenecut=0:open-gop=0:min-keyint=60"
    muxer = [
        "-t", "14.5", *CLEAN, "-f", "hls", "-hls_time", "6", "-hls_playlist_type", "vod",
        "-hls_segment_type", "fmp4", "-hls_segment_options", "use_editlist=0",
        "-hls_fmp4_init_filename", "360p-hevc_init.mp4",
        "-hls_segment_filename", "360p-hevc_%03d.m4s", "360p-hevc.m3u8", "-map",
    ]  # fmt: skip
    assert argv[start + 1 : end] == [
        "-c:v", "libx265", "-preset", "veryfast", "-crf", "27", *same,
        "-forced-idr", "1", "-x265-params", closed, *muxer,
    ]  # fmt: skip
    on_gpu = ffmpeg.video_pass("ffmpeg", video_job(
        rungs=ladder.plan(Size(1280, 720))[1:], beside=("hevc", "av1"), audio=None,
        encoder="h264_nvenc", on_gpu=True,
    ))  # fmt: skip
    assert on_gpu[on_gpu.index("[hevc_1]") + 1 : on_gpu.index("[av1_0]")] == [
        "-c:v", "hevc_nvenc", "-preset", "p5", "-tune", "hq", "-multipass", "qres",
        "-rc-lookahead", "20", "-bf", "3", "-b_ref_mode", "middle", "-spatial-aq", "1",
        "-forced-idr", "1", "-no-scenecut", "1", "-strict_gop", "1",
        "-rc", "vbr", "-cq", "26", "-b:v", "0", *same, *muxer,
    ]  # fmt: skip


def encoders_of(argv: list[str]) -> list[str]:
    return [argv[at + 1] for at, word in enumerate(argv) if word == "-c:v"]


def test_av1_has_the_encoder_of_its_way() -> None:
    rungs = ladder.plan(Size(640, 360))
    job = video_job(rungs=rungs, beside=("av1",), audio=None)
    capped = ["-maxrate", "375k", "-bufsize", "375k", "-g", "60"]
    argv = ffmpeg.video_pass("ffmpeg", job)
    start = argv.index("[av1_0]") + 1
    assert argv[start : start + 11] == [
        "-c:v", "libsvtav1", "-preset", "10", "-crf", "48", *capped[:5],
    ]  # fmt: skip
    on_gpu = replace(job, encoder="h264_nvenc", on_gpu=True)
    assert encoders_of(ffmpeg.video_pass("ffmpeg", on_gpu)) == ["h264_nvenc", "av1_nvenc", "mjpeg"]
    beside_on_cpu = replace(on_gpu, on_gpu=False, beside_on_cpu=True)
    assert encoders_of(ffmpeg.video_pass("ffmpeg", beside_on_cpu)) == [
        "h264_nvenc", "libsvtav1", "mjpeg",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("record", "name"),
    [
        ("81000c00", "av01.0.00M.08"),
        ("81488c00", "av01.2.08H.08"),
        ("810d4c00", "av01.0.13M.10"),
        ("810d6c00", "av01.0.13M.12"),
    ],
)
def test_the_codecs_parameter_of_av1(record: str, name: str) -> None:
    assert fragments.av1_codecs(bytes.fromhex(record)) == name
