"""Real parts for the tests: PostgreSQL from its package, S3 from moto's server, RunPod's stand-in.

Servers start once a run (once an xdist worker); databases and buckets are new for each test.
"""

import secrets
import shutil
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path

import asyncpg
import boto3
import pytest
import pytest_asyncio
from moto.server import ThreadedMotoServer

from api.auth import Role
from api.cli.place import mint_token
from infra.bootstrap import Services, open_services
from infra.embedded.object_store import BucketKeys, ObjectStore, start_object_store
from infra.embedded.postgres import start_postgres
from infra.embedded.runpod_local import RunpodEndpoint, start_runpod_stand_in
from infra.embedded.stack_secrets import StackSecrets
from infra.embedded.supervisor import Supervisor
from infra.postgres.migrations import migrate
from infra.postgres.pool import Pool, open_pool
from infra.settings import Settings, load
from tests.bucket_rights import identities
from tests.processes import remove_database

PUBLIC_URL = "http://service.test"
TEMPLATE = "template_codex_media"
MEMORY = Path("/dev/shm")  # noqa: S108 - folders in it get names that nobody guesses
"""A database is made in a tenth of the time that a disk takes, and a run makes a thousand."""
MEMORY_NEEDED_BYTES = 4 * 1024**3

Tokens = Callable[..., str]


@pytest.fixture(scope="session", autouse=True)
def trust() -> Iterator[None]:
    """Whom TLS trusts is read once: 30 ms for each HTTP client, of which a test opens several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", cache(ssl.create_default_context))
        yield


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def supervisor() -> AsyncIterator[Supervisor]:
    """Holds the servers of this run, and what they keep."""
    with _scratch() as folder:
        async with Supervisor(folder) as running:
            yield running


@contextmanager
def _scratch() -> Iterator[Path]:
    """A folder in memory, or on disk where there is not the room."""
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_NEEDED_BYTES
    with tempfile.TemporaryDirectory(
        prefix="codex-media-tests-", dir=MEMORY if roomy else None, ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server_dsn(supervisor: Supervisor) -> str:
    """A PostgreSQL server with the migrated database that each test's is cloned from."""
    dsn = (await start_postgres(supervisor, durable=False)).dsn
    await _execute(dsn, f"CREATE DATABASE {TEMPLATE}")
    await migrate(_database(dsn, TEMPLATE))
    return dsn


def _database(dsn: str, name: str) -> str:
    path, question, query = dsn.partition("?")
    return f"{path.rsplit('/', 1)[0]}/{name}{question}{query}"


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@asynccontextmanager
async def _new_database(server_dsn: str, template: str) -> AsyncIterator[str]:
    name = f"test_{secrets.token_hex(6)}"
    # Its files copied, not logged: a third less work, which shows in a thousand databases.
    copied = f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"
    await _execute(server_dsn, copied)
    yield _database(server_dsn, name)
    await _execute(server_dsn, f"DROP DATABASE {name} WITH (FORCE)")


@pytest_asyncio.fixture
async def dsn(server_dsn: str) -> AsyncIterator[str]:
    """A migrated, empty database of this test's own."""
    async with _new_database(server_dsn, TEMPLATE) as found:
        yield found


@pytest_asyncio.fixture
async def bare_dsn(server_dsn: str) -> AsyncIterator[str]:
    """A database in which nothing was migrated yet."""
    async with _new_database(server_dsn, "template1") as found:
        yield found


@pytest_asyncio.fixture
async def pool(dsn: str) -> AsyncIterator[Pool]:
    """A pool on this test's database."""
    async with open_pool(dsn, 10) as opened:
        yield opened


@pytest_asyncio.fixture
async def owner(dsn: str) -> AsyncIterator[Pool]:
    """A pool with the rights of the tables' owner, as a migration has: to tamper with."""
    async with asyncpg.create_pool(dsn, min_size=0, max_size=4) as opened:
        yield opened


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """An S3 server without signature checks."""
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_endpoint: str) -> str:
    """A new bucket's name."""
    name = f"bucket-{secrets.token_hex(6)}"
    client = boto3.client(
        "s3",
        endpoint_url=s3_endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    client.create_bucket(Bucket=name)
    client.close()
    return name


SEAWEED_KEYS = BucketKeys("ourkey", "oursecret")
WORKER_KEYS = BucketKeys("workerkey", "workersecret")
SERVICE_KEYS = BucketKeys("servicekey", "servicesecret")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def seaweed(supervisor: Supervisor) -> ObjectStore:
    """A second S3 server, which checks signatures; `SEAWEED_KEYS` may do everything there."""
    worker, service = (
        {"accessKey": keys.access_key_id, "secretKey": keys.secret_access_key}
        for keys in (WORKER_KEYS, SERVICE_KEYS)
    )
    others = identities(worker, service)
    return await start_object_store(supervisor, SEAWEED_KEYS, "codex-media", others)


@pytest.fixture(scope="session")
def stack_secrets(tmp_path_factory: pytest.TempPathFactory) -> StackSecrets:
    """Keys as a local stack makes them."""
    return StackSecrets.of_folder(tmp_path_factory.mktemp("secrets"))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def runpod(supervisor: Supervisor, stack_secrets: StackSecrets) -> RunpodEndpoint:
    """RunPod's stand-in, without a worker: jobs stay queued until a test takes them."""
    return await start_runpod_stand_in(supervisor, stack_secrets.runpod_api_key)


@pytest.fixture
def environ(
    dsn: str, s3_endpoint: str, bucket: str, runpod: RunpodEndpoint, stack_secrets: StackSecrets
) -> dict[str, str]:
    """The variables of a service on this test's parts. Change them before taking `services`."""
    return {
        "DATABASE_URL": dsn,
        "R2_ENDPOINT": s3_endpoint,
        "R2_BUCKET": bucket,
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
    }


@pytest.fixture
def settings(environ: dict[str, str]) -> Settings:
    """The parsed settings."""
    return load(environ)


@pytest_asyncio.fixture
async def services(settings: Settings) -> AsyncIterator[Services]:
    """The composed service on this test's parts."""
    async with open_services(settings) as opened:
        yield opened


@pytest.fixture
def token(settings: Settings) -> Tokens:
    """Makes session tokens: `token("alice")`, `token("eve", [Role.AUDITOR])`."""

    def mint(
        subject: str = "alice",
        roles: list[Role] | None = None,
        life: timedelta = timedelta(minutes=5),
    ) -> str:
        return mint_token(settings, subject, roles or [Role.CREATOR], life)

    return mint


@pytest.fixture
def data_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for a local service."""
    yield tmp_path / "data"
    remove_database(tmp_path / "data")
