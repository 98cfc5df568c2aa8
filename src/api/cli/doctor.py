"""`doctor`: looks at every part a service needs and says what is wrong with it."""

import asyncio
import importlib.util
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import asyncpg
import httpx

from api.cli import output, place
from codex_media.wire import proxied
from domain.errors import StorageUnavailable, TranscoderError
from infra.object_storage import open_storage
from infra.postgres.migrations import require_current
from infra.postgres.pool import UNAVAILABLE, SchemaBehind, open_pool
from infra.runpod_transcoder import open_transcoder
from infra.settings import Settings, SettingsInvalid, load

TIMEOUT_S = 15.0
WORKER_TIMEOUT_S = 90.0
LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1", "0.0.0.0"}  # noqa: S104 - compared, not bound


class Finding(NamedTuple):
    """What is said of one part."""

    part: str
    ok: bool
    detail: str


def examine(data: Path | None, *, as_json: bool) -> int:
    """Check all parts, print the findings; 0 when nothing is wrong."""
    findings = _worker_findings()
    try:
        settings = load(place.environment(data))
    except (SettingsInvalid, place.NothingRunning) as error:
        findings.append(Finding("settings", False, str(error)))
    else:
        findings += asyncio.run(_service_findings(settings))
    if as_json:
        output.print_json({"findings": [finding._asdict() for finding in findings]})
    else:
        for part, ok, detail in findings:
            mark = "[green]ok  [/]" if ok else "[red]BAD [/]"
            output.out.print(f"{mark} {part:<12} {detail}", soft_wrap=True, highlight=False)
    return 0 if all(finding.ok for finding in findings) else 1


def _worker_findings() -> list[Finding]:
    if importlib.util.find_spec("runpod") is None:  # as in the service's own image
        return [Finding("worker", True, "not installed here; it runs at RunPod")]
    # The worker is asked as a program: the service imports nothing of it but the contract.
    argv = [sys.executable, "-m", "gpu_worker", "doctor"]
    try:
        done = subprocess.run(
            argv, capture_output=True, timeout=WORKER_TIMEOUT_S, check=False, text=True
        )
    except subprocess.TimeoutExpired:
        return [Finding("ffmpeg", False, f"did not answer within {WORKER_TIMEOUT_S:.0f} s")]
    try:
        found = json.loads(done.stdout)
    except ValueError:
        return [Finding("worker", False, done.stderr.strip()[-300:] or "not installed here")]
    return [Finding(each["part"], each["ok"], each["detail"]) for each in found]


async def _service_findings(settings: Settings) -> list[Finding]:
    return [
        await _finding("database", lambda: _database(settings)),
        await _finding("bucket", lambda: _bucket(settings)),
        await _finding("bucket CORS", lambda: _cors(settings)),
        await _finding("RunPod", lambda: _runpod(settings)),
        await _finding("webhook URL", lambda: _webhook(settings)),
    ]


async def _finding(part: str, check: Callable[[], Awaitable[str]]) -> Finding:
    try:
        return Finding(part, True, await asyncio.wait_for(check(), TIMEOUT_S))
    except BAD as error:
        return Finding(part, False, str(error) or type(error).__name__)


class Unfit(Exception):
    """A part answers, but not as it must."""


BAD: tuple[type[Exception], ...] = (
    Unfit,
    SchemaBehind,
    StorageUnavailable,
    TranscoderError,
    asyncpg.PostgresError,
    httpx.HTTPError,
    *UNAVAILABLE,
)


async def _database(settings: Settings) -> str:
    async with open_pool(settings.database_url.get_secret_value(), 2) as pool:
        await require_current(pool)
        version: str = await pool.fetchval("SHOW server_version")
    return f"PostgreSQL {version}, schema current"


async def _bucket(settings: Settings) -> str:
    async with open_storage(settings) as storage:
        await storage.ping()
    return f"{settings.r2_bucket} at {settings.r2_endpoint}"


async def _cors(settings: Settings) -> str:
    """Asks the bucket as a browser does before a page of ours may upload to it."""
    parts = urlsplit(settings.public_app_url)
    origin = f"{parts.scheme}://{parts.netloc}"
    asked = {
        "origin": origin,
        "access-control-request-method": "PUT",
        "access-control-request-headers": "content-type,if-none-match",
    }
    url = f"{settings.r2_endpoint}/{settings.r2_bucket}/probes/write"
    async with httpx.AsyncClient(timeout=5.0, trust_env=proxied(url)) as http:
        answer = await http.options(url, headers=asked)
    allowed = answer.headers.get("access-control-allow-origin")
    methods = answer.headers.get("access-control-allow-methods", "").upper()
    if allowed not in {"*", origin} or "PUT" not in methods:
        raise Unfit(
            f"browsers on {origin} may not upload to the bucket: add the CORS rule of "
            "docs/production.md"
        )
    return f"pages of {origin} may upload"


async def _runpod(settings: Settings) -> str:
    async with open_transcoder(settings) as transcoder:
        await transcoder.ping()
    return f"endpoint {settings.runpod_endpoint_id} at {settings.runpod_base_url}"


async def _webhook(settings: Settings) -> str:
    url = settings.public_app_url
    async with httpx.AsyncClient(timeout=5.0) as http:
        answer = await http.post(f"{url}/api/transcoding/webhook", content=b"{}")
    if answer.status_code != 401:
        raise Unfit(f"{url} answers {answer.status_code} to an unsigned webhook; 401 is right")
    cloud = urlsplit(settings.runpod_base_url).hostname not in LOCAL_HOSTS
    if cloud and urlsplit(url).hostname in LOCAL_HOSTS:
        raise Unfit(f"{url} is this machine's own address: RunPod cannot reach it")
    return f"{url} refuses unsigned webhooks"
