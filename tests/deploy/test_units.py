"""The systemd units start what there is, confined alike."""

import shlex
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
from typer.main import get_command

from api.cli import app
from tests.deploy.dockerfile import ROOT

UNITS = sorted((ROOT / "deploy/systemd").glob("*.service"))
ANALYZE = shutil.which("systemd-analyze")
PROGRAM = "/opt/codex-media/bin/codex-media"
OWN = {"ExecStart", "Type", "TimeoutStopSec", "TimeoutStartSec", "LimitNOFILE", "MemoryMax"}
OWN |= {"Restart", "RestartSec"}
"""What differs from unit to unit; all else is their confinement."""


def lines(path: Path) -> dict[str, list[str]]:
    """Each setting of [Service] with its values, in order."""
    found = defaultdict(list)
    section = ""
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found[name].append(value)
    return dict(found)


def test_there_is_a_unit_for_each_process() -> None:
    assert [path.stem for path in UNITS] == [
        "codex-media-migrate",
        "codex-media-serve@",
        "codex-media-work",
    ]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_a_unit_runs_a_command_with_options_that_exist(path: Path) -> None:
    program, name, *options = shlex.split(lines(path)["ExecStart"][0].replace("%i", "8000"))
    command = get_command(app).get_command(None, name)  # type: ignore[attr-defined, arg-type]

    assert program == PROGRAM
    assert command is not None
    assert command.make_context(name, options) is not None


def test_all_are_confined_alike() -> None:
    first, *others = [
        {name: values for name, values in lines(path).items() if name not in OWN} for path in UNITS
    ]

    assert all(other == first for other in others)
    for name in ("DynamicUser", "PrivateTmp", "NoNewPrivileges", "MemoryDenyWriteExecute"):
        assert first[name] == ["yes"]
    assert first["ProtectSystem"] == ["strict"]
    assert first["CapabilityBoundingSet"] == [""]
    assert first["EnvironmentFile"] == ["/etc/codex-media/service.env"]


def test_what_serves_and_works_comes_up_again_and_what_migrates_ends() -> None:
    by_name = {path.stem: lines(path) for path in UNITS}

    assert by_name["codex-media-migrate"]["Type"] == ["oneshot"]
    for name in ("codex-media-serve@", "codex-media-work"):
        assert by_name[name]["Restart"] == ["always"]


@pytest.mark.skipif(ANALYZE is None, reason="no systemd-analyze here")
def test_systemd_takes_them_and_finds_them_well_confined(tmp_path: Path) -> None:
    for path in UNITS:
        text = path.read_text("utf-8").replace(PROGRAM, "/bin/true")
        (tmp_path / path.name).write_text(text)
    units = [str(tmp_path / path.name) for path in UNITS]

    taken = _analyze("verify", *units)
    weighed = _analyze("security", "--offline=true", "--threshold=20", *units)

    assert (taken.returncode, taken.stderr) == (0, "")
    assert weighed.returncode == 0, weighed.stdout[-2000:]


def _analyze(*arguments: str) -> "subprocess.CompletedProcess[str]":
    assert ANALYZE is not None
    return subprocess.run(
        [ANALYZE, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
