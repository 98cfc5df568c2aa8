"""Every made file and some mutants, as often as the tests run: the rest by hand.

`python -m tests.gpu_worker.hostile --mutants 500 --seed 1 --trace`
"""

import subprocess
import sys
from pathlib import Path

import pytest

from gpu_worker.settings import EncodeSettings
from gpu_worker.tools import find_tools
from tests.gpu_worker.clips import real_clip
from tests.gpu_worker.hostile.convert import Bench
from tests.gpu_worker.hostile.disguises import NEIGHBOUR
from tests.gpu_worker.hostile.files import Hostile
from tests.gpu_worker.hostile.mutants import mutant
from tests.gpu_worker.hostile.trace import available, deeds, traced
from tests.gpu_worker.listener import listening

MUTANTS = 16
LEAST = {"reference": 33, "disguise": 11, "no media": 11, "cut off": 20, "mutant": MUTANTS}
needs_strace = pytest.mark.skipif(available() is None, reason="strace is not installed")


def run(*arguments: str) -> str:
    """What the command prints; fails unless it ends well."""
    argv = [sys.executable, "-m", "tests.gpu_worker.hostile", *arguments]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_no_made_file_and_no_mutant_breaks_out_or_goes_on() -> None:
    told = run("--mutants", str(MUTANTS))
    assert ", 0 breaches" in told
    groups = {line[:12].strip(): line[12:].split() for line in told.splitlines()}
    assert {group: int(groups[group][0]) for group in LEAST} == LEAST
    assert groups["disguise"][1] == "input_unreadable"
    assert "peak memory 0 MiB" not in told


async def test_what_should_not_happen_is_noted(tmp_path: Path) -> None:
    """The bench itself: a wrong end, a late one, memory, tags."""
    tools = find_tools(EncodeSettings())
    bench = Bench(tools, tools.sandbox, tmp_path, b"")
    limits = bench.record.limits
    bench.record.ended(Hostile("g", "slow", b""), "transcoded", limits.max_wall_seconds + 1.1)
    bench.record.seen(limits.max_memory_bytes + 1)
    assert len(bench.record.breaches) == 2
    assert bench.record.late == 1


def test_a_mutant_is_the_same_each_time_and_differs_from_the_next() -> None:
    good = {"mp4": bytes(range(256)) * 20, "wav": bytes(range(256)) * 9}
    of_one_seed = [mutant(good, 5, number) for number in range(200)]
    assert of_one_seed == [mutant(good, 5, number) for number in range(200)]
    assert len({file.content for file in of_one_seed}) > 190
    assert mutant(good, 6, 0) != mutant(good, 5, 0)


@needs_strace
def test_the_trace_finds_a_socket_and_a_foreign_file(tmp_path: Path) -> None:
    room = tmp_path / "rooms" / "job"
    room.mkdir(parents=True)
    (room / NEIGHBOUR).write_bytes(real_clip("bikes.mp4").read_bytes())
    with listening() as listener:
        argv = [sys.executable, "-m", "tests.gpu_worker.hostile.planted", str(room), listener.url]
        assert traced(argv, tmp_path / "logs") == 0
        assert listener.calls
    found = deeds(tmp_path / "logs", find_tools(EncodeSettings()), tmp_path / "rooms")
    assert found.sockets
    assert str(room / NEIGHBOUR) in found.files


@needs_strace
def test_files_that_name_others_make_no_socket_and_open_nothing_that_is_traced() -> None:
    told = run("--trace", "--mutants", "0", "--groups", "reference", "disguise")
    assert "0 sockets opened, 0 files read outside the job's folder" in told
