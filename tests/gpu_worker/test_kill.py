"""`kill -9` at a few random moments; 20 by hand: `python -m tests.gpu_worker.kill --moments 20`."""

import subprocess
import sys
from pathlib import Path

import pytest

from gpu_worker.bucket import connect
from gpu_worker.tools import Tools
from tests.gpu_worker.clips import Clips
from tests.gpu_worker.jobs import Room, settings_of
from tests.gpu_worker.kill import CLIP, Bench, kill_at_random, no_orphan
from tests.gpu_worker.service import receiver

MOMENTS = 2
ABOUT_A_RUN_S = 1.5
SEED = 5


async def test_f16_a_worker_killed_at_random_leaves_no_orphan_and_nothing_half(
    s3_endpoint: str, bucket: str, tools: Tools, clips: Clips, tmp_path: Path
) -> None:
    with receiver() as service:
        async with connect(settings_of(s3_endpoint, bucket, tmp_path)) as client:
            room = Room(client, bucket)
            bench = Bench(s3_endpoint, room, service, tools, clips[CLIP], tmp_path, 8.0)
            killed = await kill_at_random(
                bench, ABOUT_A_RUN_S, moments=MOMENTS, seed=SEED, at_once=MOMENTS
            )
    assert len({each.moment_s for each in killed}) == MOMENTS


def test_a_program_that_goes_on_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.gpu_worker.kill.ORPHAN_LIMIT_S", 0.3)
    code = "import time; time.sleep(60)"
    orphan = subprocess.Popen([sys.executable, "-c", code, f"{tmp_path}/input"])
    with pytest.raises(AssertionError):
        no_orphan(tmp_path)
    orphan.kill()
    orphan.wait()
    no_orphan(tmp_path)
