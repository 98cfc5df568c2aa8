"""The worker alone, as a program."""

import json
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from tests.gpu_worker.clips import Clips

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "X264_PRESET": "superfast"}


def worker(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-X", "importtime", "-m", "gpu_worker", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env=ENVIRONMENT
    )


def spoken(done: "subprocess.CompletedProcess[str]") -> str:
    """Standard error without the list of imports."""
    return "\n".join(x for x in done.stderr.splitlines() if not x.startswith("import time:"))


def test_transcode_writes_the_layout_of_the_bucket(clips: Clips, tmp_path: Path) -> None:
    media_id = uuid4()
    options = ("--json", "--creator", "ann", "--media-id", str(media_id), "--encoder", "libx264")
    done = worker("transcode", str(clips.silent), "--out", str(tmp_path), *options)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    for path in answer["paths"].values():
        assert Path(path).is_file()
    assert answer["paths"]["master"] == str(tmp_path / f"ann/hls/{media_id}/master.m3u8")
    made = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert made == {item["key"] for item in answer["objects"]} | {
        f"ann/hls/{media_id}/manifest.json"
    }
    source = clips.silent.stat()
    assert answer["inputEtag"] == f"{source.st_mtime_ns:x}-{source.st_size:x}"
    assert "runpod" not in done.stderr, "the SDK takes seconds to import"
    assert "aioboto3" not in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="the threads are counted in /proc")
def test_numpy_starts_no_threads() -> None:
    code = "import os, gpu_worker.waveform; print(len(os.listdir('/proc/self/task')))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, timeout=60, check=True, env=ENVIRONMENT,
    )  # fmt: skip
    assert done.stdout.split() == ["1"]


def test_transcode_of_an_audio_file_tells_where_the_waveform_is(
    clips: Clips, tmp_path: Path
) -> None:
    done = worker("transcode", str(clips["wav"]), "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "as 128k, 64k with aac" in done.stdout
    assert "waveform.json" in done.stdout


def test_a_text_file_ends_with_one_readable_sentence(clips: Clips, tmp_path: Path) -> None:
    done = worker("transcode", str(clips.text()), "--out", str(tmp_path), "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == "input_unreadable"
    assert spoken(done).startswith("This file is not a video or audio file we can read.")
    assert len(spoken(done).splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [("transcode",), ("transcode", "no-such-file", "--out", ".")])
def test_wrong_usage_exits_with_two(arguments: tuple[str, ...]) -> None:
    assert worker(*arguments).returncode == 2


def test_serving_without_settings_names_them() -> None:
    done = worker()
    assert done.returncode == 2
    assert "R2_ENDPOINT" in spoken(done)
    assert "WEBHOOK_SECRET" in spoken(done)
