"""The gate before `ready`: a good output passes, and whatever breaks a rule is told by its name."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from gpu_worker import conformance
from gpu_worker.contract import WorkerErrorCode
from gpu_worker.errors import JobFailed
from gpu_worker.packager import Packager
from gpu_worker.rules import RULES
from gpu_worker.sandbox import UNCONFINED
from gpu_worker.settings import EncodeSettings
from gpu_worker.tools import EncoderChoice, Tools
from gpu_worker.transport import WRAP, after, later_by
from tests.gpu_worker.clips import Clips
from tests.gpu_worker.conftest import Transcode
from tests.gpu_worker.faults_of_hls import FAULTS, Fault

CASES = [
    pytest.param(rule, fault, id=f"{rule}-{number}")
    for rule, faults in FAULTS.items()
    for number, fault in enumerate(faults)
]


def test_a_good_output_keeps_every_rule(good: Path) -> None:
    report = json.loads((good / "conformance.json").read_text())
    assert report["passed"]
    assert [rule for rule in report["rules"] if not rule["passed"] or rule["detail"]] == []
    assert {rule["id"] for rule in report["rules"]} == set(FAULTS)
    assert {rule["source"] for rule in report["rules"]} == {rule.source for rule in RULES}


@pytest.mark.parametrize(("rule", "fault"), CASES)
def test_a_broken_rule_is_named(
    good: Path, tmp_path: Path, tools: Tools, rule: str, fault: Fault
) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(good, folder)
    fault(folder, tools)
    with pytest.raises(JobFailed) as refusal:
        conformance.check(folder)
    assert refusal.value.code is WorkerErrorCode.OUTPUT_INVALID
    broken = {line.partition(": ")[0] for line in refusal.value.stderr_tail.splitlines()}
    assert rule in broken
    assert str(tmp_path) not in refusal.value.stderr_tail
    report = json.loads((folder / "conformance.json").read_text())
    assert not report["passed"]
    assert {result["id"] for result in report["rules"] if not result["passed"]} == broken


async def test_sound_alone_is_held_against_the_rules_for_sound(
    transcode: Transcode, clips: Clips
) -> None:
    package = await transcode(clips["wav"], "audio")
    report = json.loads((package.folder / "conformance.json").read_text())
    told = {rule["id"] for rule in report["rules"]}
    assert told == {"rfc8216-4.1", *(rule.id for rule in RULES if not rule.video_only)}
    assert report["passed"]


async def test_an_encoder_that_does_not_do_as_told_fails_the_job(
    tools: Tools, clips: Clips, tmp_path: Path
) -> None:
    """What stands in for it: an ffmpeg that makes Main profile of High."""
    wayward = tmp_path / "ffmpeg"
    wayward.write_text(f'#!/bin/bash\nexec {tools.ffmpeg} "${{@/#high/main}}"\n')
    wayward.chmod(0o755)
    folder = tmp_path / "out"
    folder.mkdir()
    settings = EncodeSettings(x264_preset="superfast")
    packager = Packager(
        Tools(str(wayward), tools.ffprobe, UNCONFINED), EncoderChoice("libx264"), settings
    )
    with pytest.raises(JobFailed, match="output_invalid") as refusal:
        await packager.package(clips["ten_bit"], "video", folder, lambda _share: None)
    assert refusal.value.stderr_tail.startswith("apple-1.3: 360p_000.ts is avc1.4d")


async def test_a_film_of_whole_segments_has_no_crumb_of_sound(
    transcode: Transcode, clips: Clips
) -> None:
    """AAC starts a frame early: of 12 seconds the last 21 ms would be a third segment."""
    package = await transcode(clips["twelve"])
    names = sorted(path.name for path in package.folder.glob("*.ts"))
    assert names == ["360p_000.ts", "360p_001.ts", "audio-64k_000.ts", "audio-64k_001.ts"]


def test_time_stamps_go_on_over_the_wrap_of_their_bits() -> None:
    """33 bits of 1/90000 s are 26.5 hours."""
    assert later_by(5, WRAP - 5) == 10
    assert later_by(WRAP - 5, 5) == -10
    assert after(WRAP - 5, np.array([WRAP - 5, 5])).tolist() == [0, 10]
