"""No secret is printed or answered: planted everywhere, then everything that was said is searched.

At the most talkative log level, of libraries too, while requests, loops and a worker succeed and
fail.
"""

import asyncio
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from pydantic import SecretStr

from api.auth import Role
from api.cli.place import mint_token
from gpu_worker.contract_logs import TELLTALES
from gpu_worker.signature import sign
from infra.bootstrap import open_services
from infra.capability import Capability, Purpose, mint
from infra.embedded.ports import free_port
from infra.loops import run_loops
from infra.settings import Settings, SettingsInvalid, load
from tests.api.listening import serving
from tests.api.studio import VIDEO
from tests.gpu_worker.jobs import environ_of
from tests.infra.variables import ENVIRON

ROOT = Path(__file__).parents[2]
CANARY = "canary-3141592653"
LOOPS_RUN_S = 1.5
TABLES = ("events", "media_items", "webhook_inbox")
SECRET_FIELDS = [
    name
    for name, field in Settings.model_fields.items()
    if "SecretStr" in str(field.annotation) or "SecretStr" in str(field.metadata)
]


@pytest.fixture
def planted(environ: dict[str, str]) -> Settings:
    """Settings whose every secret is one that nobody else could say."""
    dsn = environ["DATABASE_URL"]
    mark = "&" if "?" in dsn else "?"
    port = free_port()
    return load(
        environ
        | {
            "DATABASE_URL": f"{dsn}{mark}password={CANARY}-database",
            "R2_SECRET_ACCESS_KEY": f"{CANARY}-bucket",
            "RATE_LIMIT_STORE": f"redis://:{CANARY}-rates@127.0.0.1:{free_port()}",
            "PUBLIC_APP_URL": f"http://127.0.0.1:{port}",
            "LOG_LEVEL": "DEBUG",
        }
    )


def secrets_of(settings: Settings) -> Iterator[str]:
    """Everything that must not be said of `settings`: the values, and what they are made of."""
    yield CANARY
    for name in SECRET_FIELDS:
        value = getattr(settings, name)
        for word in value.get_secret_value().split() if isinstance(value, SecretStr) else ():
            yield word
            parts = word.removeprefix("whsec_").split(":")
            yield from (part for part in parts if len(part) > 20)


def test_every_secret_setting_is_looked_after() -> None:
    assert set(SECRET_FIELDS) >= {
        "database_url",
        "r2_secret_access_key",
        "runpod_api_key",
        "webhook_secrets",
        "capability_secrets",
        "ledger_key",
        "jwt_secret",
        "rate_limit_store",
    }
    told = repr(load(ENVIRON)) + str(load(ENVIRON)) + load(ENVIRON).model_dump_json()
    assert not [secret for secret in secrets_of(load(ENVIRON)) if secret in told]


def refusal(environ: dict[str, str]) -> str:
    """What is said of settings; nothing where they are taken."""
    try:
        load(environ)
    except SettingsInvalid as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", SECRET_FIELDS)
def test_a_secret_that_is_wrong_is_named_and_not_shown(name: str) -> None:
    told = refusal(ENVIRON | {name.upper(): f"{CANARY} \x00"})
    assert not told or name.upper() in told
    assert CANARY not in told


class Visitor:
    """Asks a service for everything, with secrets wherever there is room; keeps what it said."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.answers: list[httpx.Response] = []
        self.token = mint_token(settings, "alice", [Role.CREATOR], timedelta(minutes=5))
        self.media_id: UUID = uuid4()
        self.secrets = [self.token]
        self._http = httpx.Client(
            base_url=settings.public_app_url,
            trust_env=False,
            timeout=20,
            limits=httpx.Limits(max_keepalive_connections=0),  # uvicorn hangs up after a bug.
        )

    def call(self, method: str, path: str, body: bytes = b"", **headers: str) -> httpx.Response:
        """One request."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self._http.request(method, path, content=body, headers=sent)
        self.answers.append(answer)
        return answer

    def _capability(self, purpose: Purpose) -> str:
        expires_s = int(time.time()) + 300
        token = mint(
            self._settings.capability_keys[0], Capability(purpose, self.media_id, 1, expires_s)
        )
        self.secrets.append(token)
        return token

    def go_round(self) -> None:
        """One of each."""
        own = {"authorization": f"Bearer {self.token}"}
        as_json = {"content_type": "application/json"}
        wanted = json.dumps(VIDEO.request()).encode()
        made = self.call("POST", "/api/media", wanted, **own, **as_json)
        if made.is_success:
            self.media_id = UUID(made.json()["media"]["id"])
        for path in ("", "/events", "/playback", "/upload", "?version=99"):
            self.call("GET", f"/api/media/{self.media_id}{path}", **own)
        self.call("POST", f"/api/media/{self.media_id}/complete", **own)
        self.call("GET", f"/api/transcoding/status/{self.media_id}", **own)
        self.call(
            "POST",
            "/api/transcoding/retry",
            b'{"mediaId":"%s"}' % CANARY.encode(),
            **own,
            **as_json,
        )
        self._strange(own, as_json)
        self._webhooks()
        for path in ("/readyz", "/metrics", "/openapi.json", "/"):
            self.call("GET", path)

    def _strange(self, own: dict[str, str], as_json: dict[str, str]) -> None:
        self.call("GET", "/api/media", authorization=f"Bearer {CANARY}.{CANARY}.x")
        self.call("GET", f"/api/media?cursor={CANARY}&status={CANARY}", **own)
        self.call("GET", f"/api/media/{CANARY}", **own)
        self.call("GET", f"/{CANARY}?token={CANARY}", cookie=f"session={CANARY}")
        self.call("POST", "/api/media", CANARY.encode(), **own, **as_json)
        self.call(
            "POST", "/api/media", b"{}", cookie=f"session={self.token}", origin="https://x.test"
        )
        self.call("DELETE", "/api/session", cookie=f"session={self.token}")
        self.call("PUT", f"/api/media/{CANARY}", **own)

    def _webhooks(self) -> None:
        body = b'{"secret": "%s"}' % CANARY.encode()
        key = self._settings.webhook_keys[0]
        signed = sign(key, f"msg_{uuid4()}", int(time.time()), body)
        self.secrets.append(signed["webhook-signature"].partition(",")[2])
        self.call("POST", "/api/transcoding/webhook", body, **_dashed(signed))
        self.call("POST", "/api/transcoding/webhook", body, webhook_signature=f"v1,{CANARY}")
        self.call("POST", f"/api/transcoding/webhook/{self._capability('webhook')}", body)
        self.call("POST", f"/api/transcoding/webhook/webhook.{CANARY}.k1.x", body)
        self.call("GET", f"/api/playback/{self._capability('play')}/master.m3u8")
        self.call("GET", f"/api/playback/play.{CANARY}/master.m3u8")


def _dashed(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("-", "_"): value for name, value in headers.items()}


def work_and_fail(settings: Settings) -> None:
    """The loops, while bucket and RunPod are away."""
    away = f"http://127.0.0.1:{free_port()}"
    broken = settings.model_copy(update={"r2_endpoint": away, "runpod_base_url": away})

    async def run() -> None:
        stop = asyncio.Event()
        async with open_services(broken) as services:
            asyncio.get_running_loop().call_later(LOOPS_RUN_S, stop.set)
            await run_loops(services, stop)

    asyncio.run(run())


def one_job(folder: Path) -> str:
    """What a worker prints whose bucket and service are away."""
    away = f"http://127.0.0.1:{free_port()}"
    environ = environ_of(away, "bucket", folder)
    environ |= {"R2_SECRET_ACCESS_KEY": f"{CANARY}-worker", "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    media_id = str(uuid4())
    job = {
        "mediaId": media_id,
        "attempt": 1,
        "attemptId": str(uuid4()),
        "type": "video",
        "creatorId": "alice",
        "inputKey": f"alice/originals/{media_id}/a.mp4",
        "inputEtag": "0" * 32,
        "webhookUrl": f"{away}/api/transcoding/webhook",
    }
    told = json.dumps({"id": "job-1", "input": job})
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-m", "tests.gpu_worker.one_job", told],
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


async def rename(dsn: str, before: str, after: str) -> None:
    """Take the tables away, or bring them back."""
    owner = await asyncpg.connect(dsn)
    for table in TABLES:
        await owner.execute(f"ALTER TABLE {table}{before} RENAME TO {table}{after}")
    await owner.close()


async def leave_work(dsn: str) -> None:
    """Something for the loops to fail at: uploads that are overdue, and a breaker to probe."""
    owner = await asyncpg.connect(dsn)
    await owner.execute("UPDATE media_items SET deadline_at = now()")
    await owner.execute("INSERT INTO breakers (name, reason) VALUES ('runpod_key', 'a test')")
    await owner.close()


def betrayals(said: dict[str, str], secrets: set[str]) -> Iterator[tuple[str, str]]:
    """Where something was said that must not be, and the line."""
    forms = secrets | {quote(secret, safe="") for secret in secrets}
    for place, text in said.items():
        if any(form in text for form in forms):
            lines = (line for line in text.splitlines() if any(form in line for form in forms))
            yield from ((place, line[:200]) for line in lines)


def test_no_secret_is_printed_or_answered(
    planted: Settings,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in TELLTALES:  # As the service and the worker have it; nothing blackens the rest.
        caplog.set_level(logging.WARNING, logger=name)
    dsn = planted.database_url.get_secret_value()
    visitor = Visitor(planted)
    port = httpx.URL(planted.public_app_url).port
    assert port is not None
    with serving(planted, port):
        visitor.go_round()
        asyncio.run(rename(dsn, "", "_elsewhere"))
        visitor.go_round()
        asyncio.run(rename(dsn, "_elsewhere", ""))
    asyncio.run(leave_work(dsn))
    work_and_fail(planted)
    printed = capfd.readouterr()
    said = {
        "log": caplog.text,
        "stdout": printed.out,
        "stderr": printed.err,
        "worker": one_job(tmp_path),
        "answers": "\n".join(
            f"{answer.status_code} {answer.headers} {answer.text}"
            for answer in visitor.answers
            if answer.is_error
        ),
    }
    statuses = {answer.status_code for answer in visitor.answers}
    assert {200, 201, 401, 403, 404, 405, 409, 422, 500} <= statuses
    assert "UndefinedTableError" in said["stderr"] + said["log"], "bugs are logged with their trace"
    assert "cannot be ended: the bucket did not answer" in said["log"]
    assert "TranscoderUnavailable" in said["log"]
    assert "bucket: " in said["worker"]
    assert list(betrayals(said, {*secrets_of(planted), *visitor.secrets})) == []
