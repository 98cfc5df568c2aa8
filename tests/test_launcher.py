"""The launcher and the locks: set-up in a folder of its own, by the real uv and pip, offline.

The folder's lock names one small wheel made here, which is the project's build backend too, so
nothing is fetched and a set-up takes under a second.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements"

BACKEND = """
import pathlib, zipfile

FILES = {
    "app.pth": "{here}",
    "codex_media-1.dist-info/METADATA": "Metadata-Version: 2.1\\nName: codex-media\\nVersion: 1\\n",
    "codex_media-1.dist-info/WHEEL": "Wheel-Version: 1.0\\nTag: py3-none-any\\n",
    "codex_media-1.dist-info/entry_points.txt": "[console_scripts]\\ncodex-media = app:main\\n",
    "codex_media-1.dist-info/RECORD": "",
}

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    name = "codex_media-1-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(wheel_directory, name), "w") as wheel:
        for path, text in FILES.items():
            wheel.writestr(path, text.replace("{here}", str(pathlib.Path.cwd())))
    return name
"""

APP = """
import os, pathlib, sys

def main():
    print(os.getcwd(), *sys.argv[1:], sep="|")
    for name in sys.argv[2:]:
        print(pathlib.Path(name).read_text())
"""

PYPROJECT = """
[build-system]
requires = []
build-backend = "tinybuild"

[project]
name = "codex-media"
version = "1"
"""


def tiny_wheel(folder: Path) -> str:
    """A wheel `tinybuild` in `folder`; returns the lock line that pins it by hash."""
    wheel = folder / "tinybuild-1-py3-none-any.whl"
    info = "tinybuild-1.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tinybuild.py", BACKEND)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinybuild\nVersion: 1\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return f"tinybuild==1 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


class Folder:
    """A copy of the launcher beside a project of one module."""

    def __init__(self, root: Path, wheels: Path) -> None:
        self.root = root
        self.wheels = wheels
        (root / "requirements").mkdir(parents=True)
        wheels.mkdir()
        shutil.copy2(ROOT / "codex-media", root)
        for name in ("install.py", "uv.txt"):
            shutil.copy2(LOCKS / name, root / "requirements")
        self.lock_line = tiny_wheel(wheels)
        self.write_locks(self.lock_line)
        (root / "pyproject.toml").write_text(PYPROJECT)
        (root / "app.py").write_text(APP)
        self.put_uv()

    def write_locks(self, line: str) -> None:
        for name in ("all", "local"):
            (self.root / "requirements" / f"{name}.txt").write_text(line)

    def put_uv(self, script: str | None = None) -> None:
        """The uv of this very environment, or `script` in its place."""
        uv = self.root / ".tools" / "bin" / "uv"
        uv.parent.mkdir(parents=True, exist_ok=True)
        if script is None:
            uv.symlink_to(ROOT / ".tools" / "bin" / "uv")
        else:
            uv.unlink()
            uv.write_text(script)
            uv.chmod(0o755)
        shutil.copyfile(LOCKS / "uv.txt", self.root / ".tools" / ".uv.txt")

    @property
    def environ(self) -> dict[str, str]:
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.wheels),
            "PYTHON": sys.executable,
            "UV_NO_INDEX": "1",
            "UV_FIND_LINKS": str(self.wheels),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
        }

    def start(
        self, *arguments: str, cwd: Path | None = None, launcher: Path | None = None, **environ: str
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(launcher or self.root / "codex-media"), *arguments],
            cwd=cwd or self.wheels,
            env=self.environ | environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def launch(
        self, *arguments: str, cwd: Path | None = None, launcher: Path | None = None, **environ: str
    ) -> tuple[int, str, str]:
        with self.start(*arguments, cwd=cwd, launcher=launcher, **environ) as process:
            stdout, stderr = process.communicate(timeout=60)
        return process.returncode, stdout, stderr

    @property
    def stamp(self) -> Path:
        return self.root / ".venv" / ".codex-media-stamp"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    if not (ROOT / ".tools" / "bin" / "uv").exists():
        pytest.skip(
            "this environment was set up by pip, so there is no uv to try the launcher with"
        )
    return Folder(tmp_path / "a project", tmp_path / "wheels")


def test_first_start_sets_up_and_the_next_runs_at_once(folder: Folder) -> None:
    code, stdout, stderr = folder.launch("demo")
    assert (code, stdout) == (0, f"{folder.wheels}|demo\n")
    assert "once" in stderr
    code, stdout, stderr = folder.launch("demo")
    assert (code, stdout, stderr) == (0, f"{folder.wheels}|demo\n", "")


def test_arguments_stay_relative_to_the_caller_through_a_symlink(
    folder: Folder, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    (elsewhere / "a file.txt").write_text("found")
    (elsewhere / "link").symlink_to(os.path.relpath(folder.root / "codex-media", elsewhere))
    code, stdout, stderr = folder.launch(
        "demo", "a file.txt", cwd=elsewhere, launcher=elsewhere / "link"
    )
    assert (code, stdout) == (0, f"{elsewhere}|demo|a file.txt\nfound\n"), stderr


def test_two_first_starts_at_once_share_one_set_up(folder: Folder) -> None:
    both = [folder.start("demo") for _ in range(2)]
    ends = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    assert sum("Set up in" in stderr for _, stderr in ends) == 1


def test_only_the_test_command_asks_for_the_full_set_which_then_stays(folder: Folder) -> None:
    folder.launch("demo")
    assert folder.stamp.read_text().startswith("local ")
    folder.launch("test")
    assert folder.stamp.read_text().startswith("all ")
    _, _, stderr = folder.launch("demo")
    assert stderr == ""
    assert folder.stamp.read_text().startswith("all ")


def test_changed_lock_is_installed_on_the_next_start(folder: Folder) -> None:
    folder.launch("demo")
    folder.write_locks(folder.lock_line + "# changed\n")
    _, _, stderr = folder.launch("demo")
    assert "Set up in" in stderr


def test_failed_set_up_says_why_and_the_next_start_recovers(folder: Folder) -> None:
    folder.write_locks(f"tinybuild==1 --hash=sha256:{'0' * 64}\n")
    code, stdout, stderr = folder.launch("demo")
    assert (code, stdout) == (1, "")
    assert "could not be installed" in stderr
    assert not folder.stamp.exists()
    folder.write_locks(folder.lock_line)
    code, stdout, stderr = folder.launch("demo")
    assert (code, stdout) == (0, f"{folder.wheels}|demo\n"), stderr


def test_where_uv_cannot_install_pip_does_and_it_is_said(folder: Folder) -> None:
    folder.put_uv("#!/bin/sh\necho 'no route to the index' >&2\nexit 2\n")
    code, stdout, stderr = folder.launch("demo")
    assert (code, stdout) == (0, f"{folder.wheels}|demo\n"), stderr
    assert "uv could not install (no route to the index); trying pip" in stderr


def test_moved_folder_is_set_up_again(folder: Folder, tmp_path: Path) -> None:
    folder.launch("demo")
    moved = folder.root.rename(tmp_path / "moved")
    code, stdout, stderr = folder.launch("demo", launcher=moved / "codex-media")
    assert (code, stdout) == (0, f"{folder.wheels}|demo\n"), stderr
    assert "Set up in" in stderr


def test_python_that_is_missing_or_too_old_is_named(folder: Folder) -> None:
    code, _, stderr = folder.launch("demo", PYTHON="/nowhere/python3")
    assert code == 1
    assert "needs Python 3.11" in stderr
    assert "/nowhere/python3" in stderr


def pins(name: str) -> dict[str, set[str]]:
    """Package → the versions that `requirements/NAME.txt` pins (several behind markers)."""
    found: dict[str, set[str]] = {}
    text = (LOCKS / f"{name}.txt").read_text()
    for package, version in re.findall(r"^([a-z0-9._-]+)==(\S+)", text, flags=re.MULTILINE):
        found.setdefault(package, set()).add(version)
    return found


@pytest.mark.parametrize("name", ["local", "api", "worker"])
def test_each_small_lock_pins_what_the_full_lock_pins(name: str) -> None:
    full, small = pins("all"), pins(name)
    assert len(small) > 20
    assert {package: full.get(package) for package in small} == small


@pytest.mark.parametrize("name", ["all", "local", "api", "worker", "uv"])
def test_every_pin_has_hashes_and_no_lock_names_an_address(name: str) -> None:
    text = (LOCKS / f"{name}.txt").read_text()
    assert "://" not in text
    assert not re.search(r"^\s*-", text.replace("    --hash=sha256:", ""), flags=re.MULTILINE)
    entries = re.split(r"\n(?=\S)", text.strip())
    assert all("==" in entry and "--hash=sha256:" in entry for entry in entries)


def test_the_api_image_has_no_runpod_and_no_image_has_development_tools() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    development = {re.split(r"[\[=<>]", line)[0] for line in extras["dev"] + extras["embedded"]}
    assert "runpod" not in pins("api")
    assert not development & set(pins("api"))
    assert development & set(pins("worker")) == {"psutil", "pyyaml"}  # which runpod itself needs


def test_every_direct_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    def names(lines: list[str]) -> set[str]:
        return {re.split(r"[\[=<>]", line)[0] for line in lines}

    extras = project["optional-dependencies"]
    assert names(project["dependencies"]) <= set(pins("api"))
    assert names(extras["worker"]) <= set(pins("worker"))
    assert names(extras["embedded"] + extras["build"]) <= set(pins("local"))
    assert names(extras["dev"]) <= set(pins("all"))
