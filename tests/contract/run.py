"""Runs schemathesis against a service that listens."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import httpx

from infra.settings import Settings
from tests.contract.seeds import seeded
from tests.docs import ROOT

FOLDER = Path(__file__).parent
PHASES = "examples,coverage,fuzzing,stateful"


class Effort(NamedTuple):
    """How much is tried."""

    examples: int
    limit_s: int | None = None
    phases: str = PHASES
    seeds: int = 1
    seed: int | None = None


class Found(NamedTuple):
    """What schemathesis says."""

    passed: bool
    told: str


def run(settings: Settings, folder: Path, effort: Effort) -> Found:
    """Try every operation of the service at PUBLIC_APP_URL; what was found, in words."""
    # Given as a file: what is loaded from a service is taken for none of its operations.
    description = httpx.get(f"{settings.public_app_url}/openapi.json", trust_env=False)
    (folder / "openapi.json").write_bytes(description.raise_for_status().content)
    kept = folder / "seeds.json"
    kept.write_text(asyncio.run(seeded(settings, effort.seeds)))
    environ = os.environ | {
        "SCHEMATHESIS_HOOKS": "tests.contract.hooks",
        "CONTRACT_SEEDS": str(kept),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
    }
    ran = subprocess.run(
        _argv(settings, effort),
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=(effort.limit_s or 0) + 3600,
    )
    return Found(ran.returncode == 0, ran.stdout)


def _argv(settings: Settings, effort: Effort) -> list[str]:
    argv = [str(Path(sys.executable).parent / "schemathesis"), "--no-color"]
    argv += ["--config-file", str(FOLDER / "schemathesis.toml"), "run"]
    argv += ["openapi.json", "--url", settings.public_app_url, "--phases", effort.phases]
    argv += ["--max-examples", str(effort.examples), "--no-shrink"]
    argv += ["--max-time", str(effort.limit_s)] if effort.limit_s else []
    argv += ["--seed", str(effort.seed)] if effort.seed is not None else []
    return argv
