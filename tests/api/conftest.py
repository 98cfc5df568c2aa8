"""One service for all tests of the API, and for each test creators of its own."""

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import boto3
import pytest
import pytest_asyncio
from botocore.client import BaseClient

from api.cli.place import write_running
from infra.embedded.ports import free_port
from infra.embedded.runpod_local import RunpodEndpoint
from infra.embedded.stack_secrets import StackSecrets
from infra.settings import Settings, load
from tests.api.console import Console
from tests.api.listening import serving
from tests.api.service import Service, running
from tests.api.studio import Studio
from tests.conftest import PUBLIC_URL, TEMPLATE, _new_database


@pytest.fixture(scope="session")
def s3(s3_endpoint: str) -> Iterator[BaseClient]:
    """A client of the bucket's server, as the worker has one."""
    client = boto3.client(
        "s3",
        endpoint_url=s3_endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    yield client
    client.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_settings(
    server_dsn: str,
    s3_endpoint: str,
    s3: BaseClient,
    runpod: RunpodEndpoint,
    stack_secrets: StackSecrets,
) -> AsyncIterator[Settings]:
    """Settings of the service that the tests share."""
    s3.create_bucket(Bucket="shared")
    async with _new_database(server_dsn, TEMPLATE) as dsn:
        yield load(
            {
                "DATABASE_URL": dsn,
                "R2_ENDPOINT": s3_endpoint,
                "R2_BUCKET": "shared",
                "R2_REGION": "us-east-1",
                "R2_ACCESS_KEY_ID": "test",
                "R2_SECRET_ACCESS_KEY": "test",
                "RUNPOD_BASE_URL": runpod.base_url,
                "RUNPOD_ENDPOINT_ID": runpod.endpoint_id,
                "RUNPOD_API_KEY": runpod.api_key,
                "PUBLIC_APP_URL": PUBLIC_URL,
                "WEBHOOK_SECRETS": stack_secrets.webhook_secret,
                "CAPABILITY_SECRETS": stack_secrets.capability_secret,
                "JWT_SECRET": stack_secrets.jwt_secret,
                "LEDGER_KEY": stack_secrets.ledger_key,
                # All tests are one address: what it may do is for tests/api/test_rates.py.
                "RATE_SIGN_INS": "100000/minute",
                "RATE_ANONYMOUS": "100000/minute",
            }
        )


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def service(shared_settings: Settings) -> AsyncIterator[Service]:
    """The service that the tests share, its lifespan open."""
    async with running(shared_settings) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def studio(service: Service, s3: BaseClient) -> AsyncIterator[Studio]:
    """A creator nobody else is. At the end, every row of theirs must be what its history says."""
    at_work = Studio(service, s3, f"alice-{secrets.token_hex(4)}")
    yield at_work
    await at_work.check_books()


@pytest_asyncio.fixture(loop_scope="session")
async def stranger(service: Service, s3: BaseClient) -> Studio:
    """Another creator of the same service."""
    return Studio(service, s3, f"mallory-{secrets.token_hex(4)}")


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Console:
    """The command line, in an environment that knows of no service."""
    for name in ("DATABASE_URL", "CODEX_MEDIA_URL", "CODEX_MEDIA_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    return Console(monkeypatch, capsys)


@pytest.fixture
def listening(environ: dict[str, str], tmp_path: Path) -> Iterator[Settings]:
    """A service on a port of its own, known in `tmp_path`."""
    port = free_port()
    environ["PUBLIC_APP_URL"] = f"http://127.0.0.1:{port}"
    settings = load(environ)
    with serving(settings, port):
        write_running(tmp_path, environ)
        yield settings
