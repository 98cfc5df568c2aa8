"""The whole stack: several at once, killed and started again."""

import asyncio
import base64
import json
import sys
import time
from pathlib import Path
from typing import Any

import aioboto3
import asyncpg
import httpx
import pytest

from gpu_worker.signature import decode_secret
from infra.embedded.errors import FolderBusy, SecretsUnreadable
from infra.embedded.stack import EmbeddedStack, StackOptions, embedded_stack
from infra.embedded.stack_secrets import StackSecrets
from tests.infra.embedded.processes import ROOT, SDK_WORKER, Started, eventually, running, tree

OPTIONS = StackOptions(worker_argv=SDK_WORKER, durable=False)
STACK_PROCESS = [sys.executable, "-m", "tests.infra.embedded.stack_process"]


async def put_row_and_object(environ: dict[str, str]) -> None:
    connection = await asyncpg.connect(environ["DATABASE_URL"], timeout=5)
    await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer", timeout=5)
    await connection.close()
    async with bucket(environ) as s3:
        await s3.put_object(Bucket=environ["R2_BUCKET"], Key="kept", Body=b"kept")


async def assert_both_kept(environ: dict[str, str]) -> None:
    connection = await asyncpg.connect(environ["DATABASE_URL"], timeout=5)
    assert await connection.fetchval("SELECT answer FROM kept", timeout=5) == 42
    await connection.close()
    async with bucket(environ) as s3:
        found = await s3.get_object(Bucket=environ["R2_BUCKET"], Key="kept")
        assert await found["Body"].read() == b"kept"


def bucket(environ: dict[str, str]) -> Any:
    return aioboto3.Session().client(
        "s3",
        endpoint_url=environ["R2_ENDPOINT"],
        region_name=environ["R2_REGION"],
        aws_access_key_id=environ["R2_ACCESS_KEY_ID"],
        aws_secret_access_key=environ["R2_SECRET_ACCESS_KEY"],
    )


async def echo(stack: EmbeddedStack, text: str) -> object:
    """What a worker of this stack makes of `text`."""
    environ = stack.environ
    base = f"{environ['RUNPOD_BASE_URL']}/v2/{environ['RUNPOD_ENDPOINT_ID']}"
    headers = {"authorization": f"Bearer {environ['RUNPOD_API_KEY']}"}
    async with httpx.AsyncClient(headers=headers, timeout=5, trust_env=False) as client:
        run = await client.post(f"{base}/run", json={"input": {"do": "echo", "text": text}})

        async def completed() -> bool:
            status = await client.get(f"{base}/status/{run.json()['id']}")
            return bool(status.json()["status"] == "COMPLETED")

        assert await eventually(completed, 15)
        status = await client.get(f"{base}/status/{run.json()['id']}")
        return status.json()["output"]["echo"]


async def test_two_stacks_in_two_folders_run_at_once_and_stop_in_time(tmp_path: Path) -> None:
    mine = Started()
    one, two = embedded_stack(tmp_path / "1", OPTIONS), embedded_stack(tmp_path / "2", OPTIONS)
    stacks = await asyncio.gather(one.__aenter__(), two.__aenter__())
    assert await asyncio.gather(echo(stacks[0], "a"), echo(stacks[1], "b")) == ["a", "b"]
    assert stacks[0].environ["DATABASE_URL"] != stacks[1].environ["DATABASE_URL"]
    assert stacks[0].environ["R2_ENDPOINT"] != stacks[1].environ["R2_ENDPOINT"]
    assert stacks[0].environ["JWT_SECRET"] != stacks[1].environ["JWT_SECRET"]
    processes = mine.now()
    for context in (one, two):
        began = time.monotonic()
        await context.__aexit__(None, None, None)
        assert time.monotonic() - began < 5
    assert running(processes) == []


async def test_killed_stack_leaves_nothing_running_and_its_folder_starts_again_with_its_data(
    tmp_path: Path,
) -> None:
    process = await asyncio.create_subprocess_exec(
        *STACK_PROCESS, str(tmp_path), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    environ = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
    await put_row_and_object(environ)
    with pytest.raises(FolderBusy, match=f"in use by process {process.pid}"):
        await embedded_stack(tmp_path, OPTIONS).__aenter__()
    everything = tree(process.pid)
    assert {"weed", "postgres"} <= {p.name() for p in everything}
    logs = "".join(log.read_text(errors="replace") for log in (tmp_path / "logs").iterdir())
    secrets = json.loads((tmp_path / "secrets.json").read_text())
    assert not [name for name, value in secrets.items() if value in logs]
    process.kill()
    await process.wait()
    # At once, while the old parts are still going: the folder's lock makes the new stack wait.
    async with embedded_stack(tmp_path, OPTIONS) as stack:
        assert running(everything) == []
        await assert_both_kept(dict(stack.environ))
        kept = ("JWT_SECRET", "WEBHOOK_SECRETS", "CAPABILITY_SECRETS", "R2_SECRET_ACCESS_KEY")
        assert {name: stack.environ[name] for name in kept} == {n: environ[n] for n in kept}


def test_secrets_are_private_strong_kept_and_damage_is_reported(tmp_path: Path) -> None:
    made = StackSecrets.of_folder(tmp_path)
    assert len(decode_secret(made.webhook_secret)) == 32
    key_id, _, secret = made.capability_secret.partition(":")
    assert key_id
    assert len(base64.b64decode(secret, validate=True)) == 32
    file = tmp_path / "secrets.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(base64.b64decode(made.ledger_key.partition(":")[2], validate=True)) == 32
    assert StackSecrets.of_folder(tmp_path) == made
    file.write_text('{"jwt_secret": "short')
    with pytest.raises(SecretsUnreadable, match=r"secrets\.json cannot be read") as refused:
        StackSecrets.of_folder(tmp_path)
    assert "short" not in str(refused.value)


def test_secrets_of_an_earlier_version_are_completed_once(tmp_path: Path) -> None:
    made = StackSecrets.of_folder(tmp_path).model_dump()
    del made["ledger_key"]
    (tmp_path / "secrets.json").write_text(json.dumps(made))
    completed = StackSecrets.of_folder(tmp_path)
    assert completed.model_dump(exclude={"ledger_key"}) == made
    assert StackSecrets.of_folder(tmp_path) == completed
