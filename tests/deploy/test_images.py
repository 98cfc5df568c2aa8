"""The image files say what the code is: no engine is here to build them with."""

import ast
import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from api.routes import OPERATIONS
from gpu_worker.settings import WorkerSettings
from tests.deploy.dockerfile import ROOT, Image, sent

SERVICE, WORKER = Image(ROOT / "deploy/Dockerfile"), Image(ROOT / "gpu_worker/Dockerfile")
BOTH = pytest.mark.parametrize("image", [SERVICE, WORKER], ids=["service", "worker"])
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


@BOTH
def test_what_is_copied_is_there_and_sent_to_the_build(image: Image) -> None:
    sources = [source for step in image.steps for source in step.sources]

    assert sources
    assert all((ROOT / source).exists() for source in sources)
    assert all(map(sent, sources))
    assert not sent(".env")
    assert not sent(".codex-media/secrets.json")


@BOTH
def test_every_stage_stands_on_a_python_that_the_project_takes(image: Image) -> None:
    bases = [step.rest.split()[0] for step in image.steps if step.word == "FROM"]
    (version,) = {re.fullmatch(r"python:(3\.\d+)-slim-trixie", base)[1] for base in bases}  # type: ignore[index]

    assert PROJECT["project"]["requires-python"] == ">=3.11"
    assert version == "3.11", "the locks are made for it: requirements/compile"


@BOTH
def test_it_runs_as_a_user_without_rights_that_it_makes(image: Image) -> None:
    made = re.search(r"useradd .*--uid (\d+) (\w+)", image.commands)
    user = image.of("USER")[-1].rest

    assert made
    assert user in {made[2], f"{made[1]}:{made[1]}"}
    assert int(made[1]) >= 10_000, "no user of a host has that number by chance"
    assert image.final.index(image.of("USER")[-1]) > image.final.index(image.of("COPY")[-1])


@pytest.mark.parametrize("lock", ["api", "build", "worker"])
def test_every_package_of_an_image_is_pinned_by_its_hash(lock: str) -> None:
    text = (ROOT / f"requirements/{lock}.txt").read_text("utf-8").replace("\\\n", " ")
    packages = [line for line in text.splitlines() if line and not line.startswith("#")]

    assert packages
    assert all(" --hash=sha256:" in line and "==" in line for line in packages)


def test_nothing_is_installed_but_from_the_locks() -> None:
    script = (ROOT / "deploy/install").read_text("utf-8")
    installs = re.findall(r"^pip .*install .*$", script, re.MULTILINE)
    installs += re.findall(r"\S*pip install [^&\n]*", WORKER.commands)

    assert len(installs) == 4
    assert all("--require-hashes" in each or "--no-index" in each for each in installs)
    assert not re.search(r"\bpip\b[^&]* install\b|apt-get", SERVICE.commands)
    named = set(re.findall(r"requirements/(\w+)\.txt", script))
    copied = {Path(source).stem for step in SERVICE.steps for source in step.sources}
    assert named == {"api", "build"} <= copied


def test_the_script_of_the_service_copies_what_the_wheel_is_made_of() -> None:
    script = (ROOT / "deploy/install").read_text("utf-8")
    (listed,) = re.findall(r"for part in (.*); do", script)
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    wanted = {*wheel["packages"], *wheel["force-include"], PROJECT["project"]["readme"]}
    copied = {source for step in SERVICE.steps for source in step.sources}

    assert {each.split("/")[0] for each in wanted} | {"pyproject.toml"} == set(listed.split())
    assert set(listed.split()) <= copied


def test_the_service_starts_what_the_project_installs() -> None:
    (entry,), (command,) = SERVICE.of("ENTRYPOINT"), SERVICE.of("CMD")

    assert entry.argv == ["codex-media"]
    assert "codex-media" in PROJECT["project"]["scripts"]
    assert command.argv[:3] == ["serve", "--host", "0.0.0.0"]  # noqa: S104 - of a container
    assert SERVICE.environ["PATH"].startswith("/opt/codex-media/bin:")


def test_the_services_health_is_a_route_on_the_port_it_listens_on() -> None:
    (check,), (command,) = SERVICE.of("HEALTHCHECK"), SERVICE.of("CMD")
    argv = json.loads(check.rest.partition(" CMD ")[2])
    port = command.argv[command.argv.index("--port") + 1]

    ast.parse(argv[-1])
    assert f"'127.0.0.1', {port}," in argv[-1]
    assert SERVICE.of("EXPOSE")[0].rest == port == SERVICE.environ["METRICS_PORT"]  # of `work`
    (path,) = re.findall(r"'GET', '([^']+)'", argv[-1])
    assert path in {each.path for each in OPERATIONS if not each.roles}


def test_the_worker_starts_its_package_under_an_init_with_the_gpus_video_libraries() -> None:
    (entry,) = WORKER.of("ENTRYPOINT")
    environ = WORKER.environ

    assert entry.argv[:4] == ["tini", "--", "sh", "-c"]
    assert entry.argv[4].endswith('exec python -m gpu_worker "$@"')
    assert (ROOT / "gpu_worker/__main__.py").is_file()
    assert {"video", "compute"} <= set(environ["NVIDIA_DRIVER_CAPABILITIES"].split(","))
    assert environ["RUNPOD_LOG_LEVEL"] == "INFO"
    assert "work_dir" in WorkerSettings.model_fields
    assert {"tini", "ffmpeg", "bubblewrap"} <= set(WORKER.commands.split())


def test_the_script_refuses_a_folder_that_is_there(tmp_path: Path) -> None:
    done = subprocess.run(
        [ROOT / "deploy/install", tmp_path], capture_output=True, text=True, check=False, timeout=20
    )

    assert done.returncode == 1
    assert "is there already" in done.stderr
