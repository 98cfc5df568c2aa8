"""`demo` as a new user runs it, in processes of its own."""

import json
import signal
import subprocess
import time
from pathlib import Path

import psutil

from api.cli.place import client
from domain.lifecycle import Status
from tests.e2e.conftest import STOP_LIMIT_S, command, environment, started
from tests.gpu_worker.clips import Clips

DEMO_LIMIT_S = 120
KEYS = {
    "mediaId",
    "status",
    "error",
    "attempts",
    "outputs",
    "playbackUrl",
    "events",
    "elapsedSeconds",
}


def demo(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("demo", *arguments, "--once", "--json", "--data", str(data)),
        env=environment(),
        capture_output=True,
        timeout=DEMO_LIMIT_S,
        check=False,
        text=True,
    )


def processes_of(data: Path) -> list[str]:
    """Command lines that still name `data`."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or ())
        if str(data) in line and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(line)
    return found


def test_demo_ends_ready_and_its_data_is_found_again(data_folder: Path) -> None:
    first = demo(data_folder)
    assert first.returncode == 0, first.stderr
    told = json.loads(first.stdout)
    assert set(told) == KEYS
    assert told["status"] == "ready"
    assert told["error"] is None
    assert told["events"][-1]["type"] == "media.transcoding_completed"
    assert processes_of(data_folder) == []
    with started(data_folder, "up"), client(data_folder) as again:
        assert again.status(told["mediaId"]).status is Status.READY


def test_demo_of_a_broken_file_says_why_and_exits_1(tmp_path: Path, data_folder: Path) -> None:
    file = tmp_path / "broken.mp4"
    file.write_text("not a film")
    done = demo(data_folder, str(file))
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert (told["status"], told["error"]["code"]) == ("failed", "input_unreadable")
    assert "Traceback" not in done.stderr
    assert processes_of(data_folder) == []


def test_two_at_once_do_not_collide_and_ctrl_c_leaves_no_process(
    tmp_path: Path, clips: Clips
) -> None:
    with started(tmp_path / "a", "up") as a, started(tmp_path / "b", "up") as b:
        urls = {program.settings()["PUBLIC_APP_URL"] for program in (a, b)}
        assert len(urls) == 2
        everything = a.everything()
        assert len(everything) > 5
        begun = time.monotonic()
        a.process.send_signal(signal.SIGINT)
        a.process.wait(2 * STOP_LIMIT_S)
        took_s = time.monotonic() - begun
        _, left = psutil.wait_procs(everything, timeout=max(0.0, STOP_LIMIT_S - took_s))
        assert left == []
        assert processes_of(tmp_path / "a") == []
        assert all(process.is_running() for process in b.everything())
