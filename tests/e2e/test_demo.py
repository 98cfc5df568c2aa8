"""`demo` as a new user runs it, in processes of its own."""

import json
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil

from api.cli.place import RUNNING, client
from domain.lifecycle import Status
from infra.embedded.ports import free_port
from tests.e2e.conftest import (
    START_LIMIT_S,
    STOP_LIMIT_S,
    Program,
    command,
    environment,
    started,
)
from tests.gpu_worker.clips import Clips
from tests.infra.embedded.processes import still_running

DEMO_LIMIT_S = 240
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


def demo(data: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("demo", *arguments, "--once", "--json", "--data", str(data)),
        env=environment() | variables,
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
    with started(data_folder, "up") as again:
        with client(data_folder) as asking:
            assert asking.status(told["mediaId"]).status == Status.READY
        code, shown = end(again, signal.SIGTERM)
    assert (code, "Traceback" in shown) == (128 + signal.SIGTERM, False)


def test_demo_of_a_broken_file_says_why_and_exits_1_behind_a_dead_proxy_too(
    tmp_path: Path, data_folder: Path
) -> None:
    file = tmp_path / "broken.mp4"
    file.write_text("not a film")
    proxy = f"http://127.0.0.1:{free_port()}"
    done = demo(data_folder, str(file), http_proxy=proxy, HTTP_PROXY=proxy)
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert (told["status"], told["error"]["code"]) == ("failed", "input_unreadable")
    assert "Traceback" not in done.stderr
    assert processes_of(data_folder) == []


def test_demo_with_chaos_ends_ready_with_each_event_once(data_folder: Path) -> None:
    done = demo(data_folder, "--chaos", "7", "--uploads", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert (told["passed"], told["seed"], told["statuses"]) == (True, 7, {"ready": 3})
    assert [(item["status"], item["flaws"]) for item in told["items"]] == [("ready", [])] * 3
    # What the plan of this seed does before, while and after the jobs of its first attempts run.
    kinds = {"run_refused", "result_refused", "webhook_lost", "webhook_early"}
    assert kinds <= {kind for kind, times in told["faults"].items() if times}
    assert told["mostJobsOfAnAttempt"] <= 2
    assert processes_of(data_folder) == []


def worker_at_work(demo_pid: int) -> psutil.Process | None:
    """The worker below its tether, once its ffmpeg runs."""
    for process in psutil.Process(demo_pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "ffmpeg" not in process.name():
                continue
            for above in process.parents():  # What confines ffmpeg may stand between them.
                if "gpu_worker" in above.cmdline():
                    return above
    return None


def kill_the_worker(running: subprocess.Popen[str]) -> None:
    """SIGKILL, in the middle of its work."""
    deadline = time.monotonic() + START_LIMIT_S
    while (worker := worker_at_work(running.pid)) is None:
        assert running.poll() is None, running.communicate()[1]
        assert time.monotonic() < deadline, "no transcoding in time"
        time.sleep(0.05)
    worker.kill()


def test_demo_ends_when_its_worker_is_killed(clips: Clips, data_folder: Path) -> None:
    argv = command("demo", str(clips["long"]), "--once", "--json", "--data", str(data_folder))
    running = subprocess.Popen(
        argv, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        kill_the_worker(running)
        told, shown = running.communicate(timeout=2 * STOP_LIMIT_S)
    finally:
        running.terminate()
        running.communicate(timeout=2 * STOP_LIMIT_S)

    assert running.returncode == 1
    error = json.loads(told)["error"]
    assert error["message"].startswith("worker-1 ended with exit code 137; ")
    assert str(data_folder / "logs" / "worker-1.log") in error["message"]
    assert "error: worker-1 ended" in shown
    assert "Traceback" not in shown
    assert processes_of(data_folder) == []


def end(program: Program, number: signal.Signals) -> tuple[int, str]:
    """Send a signal; exit code and stderr, once no process is left, within five seconds."""
    everything = program.everything()
    assert len(everything) > 5
    begun = time.monotonic()
    program.process.send_signal(number)
    shown = program.process.communicate(timeout=2 * STOP_LIMIT_S)[1].decode()
    took_s = time.monotonic() - begun
    assert still_running(everything, max(0.0, STOP_LIMIT_S - took_s)) == []
    assert processes_of(program.data) == []
    assert not (program.data / RUNNING).exists()
    return program.process.returncode, shown


def test_two_at_once_do_not_collide_and_a_signal_leaves_no_process(
    program: Program, data_folder: Path
) -> None:
    with started(data_folder, "up") as other:
        urls = {each.settings()["PUBLIC_APP_URL"] for each in (program, other)}
        assert len(urls) == 2
        code, shown = end(other, signal.SIGINT)
    assert (code, "Traceback" in shown) == (128 + signal.SIGINT, False)
    assert all(process.is_running() for process in program.everything())
