"""What auditors read: everything, in one order, with proof; and each of their reads is kept."""

import asyncio
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from botocore.client import BaseClient

from api.auth import Role
from api.cli.place import write_running
from infra.bootstrap import open_services
from infra.embedded.ports import free_port
from infra.ledger import checkpoint
from infra.ledger.checkpoint import PublicKey, SigningKey
from infra.ledger.verifier import verify
from infra.settings import Settings, load
from tests.api.console import Console
from tests.api.listening import serving
from tests.api.service import running
from tests.api.studio import Studio
from tests.infra.ledger.ledgers import KEY, make, seeded
from tests.infra.lives import REQUESTED, live

PATHS = ("/api/audit/events", "/api/audit/checkpoint", "/api/audit/bundle")


async def read(studio: Studio, path: str, **headers: str) -> httpx.Response:
    """GET as an auditor."""
    auth = studio.auth(Role.AUDITOR)
    return await studio.service.http.get(path, headers=auth | headers)


def key_of(studio: Studio) -> PublicKey:
    """The key that the service signs with."""
    return SigningKey(*studio.service.settings.ledger_signer).public


async def seal(studio: Studio) -> None:
    """Give every event its place."""
    while await studio.service.services.sealer.seal_once():
        continue


def lines(answer: httpx.Response) -> list[dict[str, Any]]:
    """The objects of an NDJSON answer."""
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


@pytest.mark.asyncio(loop_scope="session")
class TestService:
    """On the service that all tests share."""

    @pytest.mark.parametrize("path", PATHS)
    async def test_auditors_and_admins_alone_may_read(self, studio: Studio, path: str) -> None:
        await studio.register()
        await seal(studio)
        http = studio.service.http
        assert (await http.get(path)).status_code == 401
        refused = await studio.get(path)
        assert (refused.status_code, refused.json()["code"]) == (403, "role_required")
        for role in (Role.AUDITOR, Role.ADMIN):
            assert (await http.get(path, headers=studio.auth(role))).status_code == 200

    async def test_ledger_is_read_in_order_from_any_place(self, studio: Studio) -> None:
        job = await studio.ready()
        await seal(studio)
        whole = lines(await read(studio, "/api/audit/events"))
        assert [each["seq"] for each in whole] == list(range(1, len(whole) + 1))
        own = [each for each in whole if each["mediaId"] == str(job.media_id)]
        history = (await studio.get(f"/api/media/{job.media_id}/events")).json()["events"]
        assert [each["event"]["hash"] for each in own] == [each["hash"] for each in history]
        after = len(whole) - 2
        assert lines(await read(studio, f"/api/audit/events?after={after}")) == whole[-2:]
        assert lines(await read(studio, f"/api/audit/events?after={10**17}")) == []

    @pytest.mark.parametrize("after", ["-1", "x", "1.5", "9" * 19, "", "²"])
    async def test_a_place_that_is_no_number_is_refused(self, studio: Studio, after: str) -> None:
        answer = await read(studio, f"/api/audit/events?after={after}")
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")

    async def test_checkpoint_is_signed_and_answers_by_accept(self, studio: Studio) -> None:
        await studio.register()
        await seal(studio)
        found = (await read(studio, "/api/audit/checkpoint")).json()
        text = await read(studio, "/api/audit/checkpoint", accept="text/plain")
        assert text.headers["content-type"] == "text/plain; charset=utf-8"
        assert text.text == found["note"]
        stated = checkpoint.verify(text.text, key_of(studio))
        assert (stated.size, stated.root.hex()) == (found["size"], found["root"])
        assert found["publicKey"] == str(key_of(studio))

    async def test_every_read_is_kept_with_its_reader(self, studio: Studio) -> None:
        await studio.register()
        await seal(studio)
        for path in ("/api/audit/events?after=7", *PATHS[1:]):
            await read(studio, path)
        await studio.get(PATHS[0])
        pool = studio.service.services.pool
        kept = await pool.fetch(
            "SELECT what FROM audit_reads WHERE actor = $1 ORDER BY id", f"auditor:{studio.creator}"
        )
        size = (await read(studio, "/api/audit/checkpoint")).json()["size"]
        assert [row["what"] for row in kept] == [
            "events after 7",
            f"checkpoint of size {size}",
            "bundle",
        ]


async def test_before_the_first_checkpoint_there_is_none(
    environ: dict[str, str], s3: BaseClient
) -> None:
    async with running(load(environ)) as service:
        answer = await read(Studio(service, s3, "eve"), "/api/audit/checkpoint")
        assert (answer.status_code, answer.json()["code"]) == (404, "no_checkpoint")


async def test_bundle_proves_what_is_sealed_and_lists_what_is_not_yet(
    environ: dict[str, str], s3: BaseClient
) -> None:
    async with running(load(environ | {"LEDGER_CHECKPOINT_S": "3600"})) as service:
        studio = Studio(service, s3, "eve")
        await studio.ready()
        await studio.retry((await studio.failed()).media_id)
        await seal(studio)  # signed at once, being the first
        covered = await service.services.ledger.size()
        await studio.register()
        await seal(studio)  # has its place, and no checkpoint yet
        await studio.uploaded()  # has neither
        answer = await read(studio, "/api/audit/bundle")
        assert answer.headers["content-type"] == "application/zip"
        verdict = verify(io.BytesIO(answer.content), [key_of(studio)])
        assert verdict.findings == []
        assert (verdict.streams, verdict.covered) == (4, covered)
        assert verdict.uncovered == range(covered + 1, covered + 3)


async def live_and_seal(settings: Settings) -> None:
    """Another life, sealed and signed."""
    async with open_services(settings) as services:
        await live(services.store, REQUESTED, uuid4())
        await services.sealer.seal_once()


def test_history_is_exported_verified_and_held_to_an_older_checkpoint(
    environ: dict[str, str], tmp_path: Path, console: Console
) -> None:
    port = free_port()
    environ |= {"PUBLIC_APP_URL": f"http://127.0.0.1:{port}", "LEDGER_CHECKPOINT_S": "0"}
    settings, data = load(environ), str(tmp_path)
    bundle, kept = tmp_path / "bundle.zip", tmp_path / "kept.txt"
    write_running(tmp_path, environ)
    with serving(settings, port):
        assert "Nothing is sealed yet" in console.run("audit", "checkpoint", "--data", data).err
        asyncio.run(live_and_seal(settings))
        told = console.run("audit", "checkpoint", "--data", data)
        kept.write_text(told.out)
        key = told.err.removeprefix("public key: ").strip()
        asyncio.run(live_and_seal(settings))
        assert console.run("audit", "export", "--out", str(bundle), "--data", data).code == 0
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        "bundle.zip",
        "kept.txt",
        "running.json",
    ]
    verify_it = ("audit", "verify", str(bundle), "--since", str(kept))
    told = console.run(*verify_it, "--key", key)
    assert (told.code, "WARNING" in told.out) == (0, False)
    assert "the newest covers 6 events" in told.out
    assert "WARNING" in console.run(*verify_it).out
    found = json.loads(console.run(*verify_it, "--key", key, "--json").out)
    assert (found["verified"], found["events"], found["findings"]) == (True, 6, [])

    tamper(bundle)
    told = console.run(*verify_it, "--key", key)
    assert told.code == 1
    assert "event 4: it is not the event that was signed" in told.out
    bundle.write_bytes(b"PK")
    told = console.run(*verify_it, "--key", key)
    assert (told.code, "not a whole bundle" in told.err) == (1, True)
    assert console.run(*verify_it, "--key", "nonsense").code == 2


def tamper(path: Path) -> None:
    """Change the size that event 4 declares, and pack the zip anew."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    events = members["events/000001.txt"]
    head, mark, tail = (b"\n" + events).partition(b"\n4 ")
    changed = tail.replace(b'"declaredSize":1', b'"declaredSize":2', 1)
    members["events/000001.txt"] = (head + mark + changed)[1:]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def test_service_that_is_away_leaves_no_bundle(tmp_path: Path, console: Console) -> None:
    told = console.run("audit", "export", "--out", str(tmp_path / "b.zip"), "--data", str(tmp_path))
    assert (told.code, "No service is known here" in told.err) == (1, True)
    assert list(tmp_path.iterdir()) == []


def test_verifier_runs_in_a_process_that_did_nothing_else(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.zip"
    bundle.write_bytes(make(seeded(8), 2, 2, covered=True).packed().getvalue())
    argv = [
        sys.executable,
        "-m",
        "api.cli",
        "audit",
        "verify",
        str(bundle),
        "--key",
        str(KEY.public),
    ]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr.strip()) == (0, "")
    assert ended.stdout.endswith("verified\n")
