"""GPUs of which this or that does not work, and what becomes of jobs there."""

import asyncio
import json
import logging
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from gpu_worker import cuda, encoders
from gpu_worker.bucket import connect
from gpu_worker.errors import JobFailed
from gpu_worker.handler import Worker
from gpu_worker.packager import Package, Packager
from gpu_worker.settings import EncodeSettings, WorkerSettings
from gpu_worker.tools import EncoderChoice, Tools, choose_encoder
from tests.gpu_worker import fake_gpu, hls
from tests.gpu_worker.claims import BRISK
from tests.gpu_worker.clips import Clips
from tests.gpu_worker.fake_gpu import NO_DECODER, NO_ENCODER, with_gpu
from tests.gpu_worker.jobs import Room, environ_of, layout_of, settings_of
from tests.gpu_worker.service import Receiver, receiver

SETTINGS = EncodeSettings(x264_preset="superfast")
BEST = EncoderChoice("h264_nvenc", on_gpu=True)
CPU_DECODE = f"h264_nvenc without GPU decode: {NO_DECODER}"
NO_GPU = f"libx264 instead of h264_nvenc: {NO_ENCODER}"
PATIENCE_S = 60


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        (None, BEST),
        (fake_gpu.DECODE, EncoderChoice("h264_nvenc", CPU_DECODE)),
        (fake_gpu.ENCODE, EncoderChoice("libx264", NO_GPU)),
    ],
)
async def test_a_job_in_small_tells_what_works(
    tools: Tools, tmp_path: Path, broken: str | None, expected: EncoderChoice
) -> None:
    room = tmp_path / "room"
    room.mkdir()
    assert await choose_encoder(SETTINGS, with_gpu(tools, tmp_path, broken), room) == expected
    assert list(room.iterdir()) == []


async def test_a_gpu_that_knows_no_other_codec_still_encodes_h264(
    tools: Tools, tmp_path: Path
) -> None:
    settings = EncodeSettings(x264_preset="superfast", hevc=True, av1=True)
    choice = await choose_encoder(settings, with_gpu(tools, tmp_path, fake_gpu.BESIDE), tmp_path)
    said = f"hevc and av1 by the CPU: {fake_gpu.NO_CODEC}"
    assert choice == EncoderChoice("h264_nvenc", said, beside_on_cpu=True)
    assert choice.less("it broke").encoder == "libx264"


async def test_the_gpu_is_not_tried_where_it_is_not_wanted(tools: Tools, tmp_path: Path) -> None:
    settings = EncodeSettings(encoder="libx264")
    nowhere = replace(tools, ffmpeg=str(tmp_path / "nothing"))
    choice = await choose_encoder(settings, nowhere, tmp_path)
    assert choice == EncoderChoice("libx264", "libx264 instead of h264_nvenc: set by ENCODER")


async def package(tools: Tools, choice: EncoderChoice, path: Path, folder: Path) -> Package:
    await asyncio.to_thread(folder.mkdir)
    packager = Packager(tools, choice, SETTINGS)
    return await packager.package(path, "video", folder, lambda _share: None)


@pytest.fixture(scope="module")
def bt709(clips: Clips, tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven seconds that the GPU decodes: in HD's colours, which so small a picture must name."""
    path = tmp_path_factory.mktemp("bt709") / "upload.mp4"
    told = "h264_metadata=colour_primaries=1:transfer_characteristics=1:matrix_coefficients=1"
    command = [tools.ffmpeg, "-v", "error", "-nostdin", "-i", str(clips["twelve"]), "-t", "7"]
    subprocess.run([*command, "-c", "copy", "-bsf:v", told, str(path)], check=True, timeout=60)
    return path


class Case(NamedTuple):
    """What is broken, what the machine was found to do, and what becomes of a job."""

    broken: str | None
    best: EncoderChoice
    encoder: str
    note: str | None
    tries: int


MAIN = "360p_000.ts is avc1.4d400d; 360p_001.ts is avc1.4d400d; preview_000.ts is avc1.4d400d"
CASES = {
    "nothing is broken": Case(None, BEST, "h264_nvenc", None, 1),
    "the source is not decoded": Case(fake_gpu.SOURCE, BEST, "h264_nvenc", CPU_DECODE, 2),
    "decoding fails at the end": Case(fake_gpu.LATE, BEST, "h264_nvenc", CPU_DECODE, 2),
    "streams are of another profile": Case(
        fake_gpu.MAIN,
        EncoderChoice("h264_nvenc"),
        "libx264",
        f"libx264 instead of h264_nvenc: apple-1.3: {MAIN}",
        2,
    ),
    "the encoder is gone": Case(
        fake_gpu.ENCODE,
        BEST,
        "libx264",
        f"{NO_GPU}; h264_nvenc without GPU decode: {NO_ENCODER}",
        3,
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_a_job_goes_on_by_the_next_way_and_says_so(
    tools: Tools, bt709: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, case: Case
) -> None:
    with caplog.at_level(logging.WARNING, "gpu_worker.packager"):
        made = await package(
            with_gpu(tools, tmp_path, case.broken), case.best, bt709, tmp_path / "out"
        )
    assert (made.encoder, made.encoder_note, made.tries) == case[2:]
    assert len(caplog.records) == case.tries - 1
    assert json.loads((made.folder / "conformance.json").read_text())["passed"]
    names = {path.name for path in made.folder.iterdir()}
    assert names == {
        "360p.m3u8", "360p_000.ts", "360p_001.ts", "audio-64k.m3u8", "audio-64k_000.ts",
        "audio-64k_001.ts", "master.m3u8", "poster.jpg", "preview", "conformance.json",
        "360p-iframes.m3u8", "storyboard.vtt", "storyboard_000.jpg", "animated.webp",
        "waveform.json", "extras.json",
    }  # fmt: skip
    assert hls.complaints(tools, made.folder / "master.m3u8") == ""
    poster = hls.picture(tools, ["-i", str(made.folder / "poster.jpg")], 320, 180)
    truth = hls.picture(tools, ["-ss", "0.7", "-i", str(bt709)], 320, 180)
    assert hls.psnr_db(poster, truth) > 30


async def test_what_fails_for_another_reason_is_not_tried_again(
    tools: Tools, clips: Clips, tmp_path: Path
) -> None:
    """A file of no picture is none on a CPU either: ffmpeg is not even started."""
    with pytest.raises(JobFailed) as failure:
        await package(with_gpu(tools, tmp_path), BEST, clips["wav"], tmp_path / "out")
    assert failure.value.code == "no_media_stream"


@pytest.fixture
def service() -> Iterator[Receiver]:
    with receiver() as kept:
        yield kept


@pytest.fixture
async def room(s3_endpoint: str, bucket: str, tmp_path: Path) -> AsyncIterator[Room]:
    async with connect(settings_of(s3_endpoint, bucket, tmp_path)) as client:
        yield Room(client, bucket)


@pytest.fixture
def worker(s3_endpoint: str, bucket: str, tools: Tools, tmp_path: Path) -> Worker:
    environ = environ_of(s3_endpoint, bucket, tmp_path) | {"ENCODER": "auto"}
    settings = WorkerSettings.from_environ(environ)
    return Worker(settings, with_gpu(tools, tmp_path, fake_gpu.HOLD), BRISK)


async def test_nothing_of_a_try_that_was_given_up_is_published(
    room: Room, service: Receiver, worker: Worker, bt709: Path, tmp_path: Path
) -> None:
    """Its segments are in the bucket already, as large as the ones that replace them."""
    job = await room.job(bt709, "video", service.url)
    layout = layout_of(job)
    running = asyncio.create_task(worker.handle(job))
    async with asyncio.timeout(PATIENCE_S):
        while f"{layout.prefix}360p_001.ts" not in (early := await room.keys(layout.prefix)):
            assert not running.done(), running.result()
            await asyncio.sleep(0.05)
    given_up = {key: await room.read(key) for key in early}
    (tmp_path / "go").touch()
    result = await running

    assert (result["encoder"], result["encoderNote"]) == ("h264_nvenc", CPU_DECODE)
    manifest = await room.whole_output(layout)
    assert manifest.encoder_note == CPU_DECODE
    sizes = {item.key: item.size for item in manifest.objects}
    for key, body in given_up.items():
        assert len(body) == sizes[key]
        assert await room.read(key) != body
    assert [post.report["output"].get("encoderNote") for post in service.of("started")] == [None]


def options_of(program: Tools, listing: str) -> str:
    command = [program.ffmpeg, "-hide_banner", "-h", listing]
    return subprocess.run(command, check=True, capture_output=True, timeout=30).stdout.decode()


def test_ffmpeg_knows_every_option_that_only_a_gpu_could_try(tools: Tools) -> None:
    names = [word for word in encoders.NVENC if word.startswith("-") and word != "-bf"]
    for encoder, profile in (("h264_nvenc", "high"), ("hevc_nvenc", "main"), ("av1_nvenc", None)):
        listed = options_of(tools, f"encoder={encoder}")
        for name in (*names, "-rc", "-cq", *(["-profile"] if profile else [])):
            assert f"  {name} " in listed
        for value in ("p5", "hq", "qres", "middle", "vbr", *([profile] if profile else [])):
            assert f"     {value} " in listed
    for filter_, options in {
        "scale_cuda": ("interp_algo", "bicubic", "format", "passthrough"),
        "yadif_cuda": ("mode", "send_frame", "deint", "interlaced"),
        "hwdownload": (),
    }.items():
        known = options_of(tools, f"filter={filter_}")
        assert known.startswith(f"Filter {filter_}\n")
        assert all(f" {option} " in known for option in options)
    everything = options_of(tools, "full")
    for option in (cuda.STRICT, *cuda.INPUT[::2]):
        assert f"\n{option}" in everything or f"\n  {option} " in everything
