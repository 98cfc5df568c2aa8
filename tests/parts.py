"""The tests' real parts outside of pytest, for what is run by hand."""

import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import boto3
from moto.server import ThreadedMotoServer

from infra.embedded.postgres import start_postgres
from infra.embedded.stack_secrets import StackSecrets
from infra.embedded.supervisor import Supervisor
from infra.postgres.migrations import migrate

PUBLIC_URL = "http://service.test"


@asynccontextmanager
async def standing() -> AsyncIterator[dict[str, str]]:
    """The variables of a service on a migrated, empty database and an empty bucket."""
    with tempfile.TemporaryDirectory() as folder, _object_store() as endpoint:
        async with Supervisor(Path(folder) / "stack") as supervisor:
            dsn = (await start_postgres(supervisor, durable=False)).dsn
            await migrate(dsn)
            kept = StackSecrets.of_folder(Path(folder))
            yield variables(dsn, endpoint, new_bucket(endpoint), kept)


@contextmanager
def _object_store() -> Iterator[str]:
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def new_bucket(endpoint: str) -> str:
    """The name of an empty bucket, made now."""
    name = f"bucket-{secrets.token_hex(6)}"
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    client.create_bucket(Bucket=name)
    client.close()
    return name


def variables(dsn: str, endpoint: str, bucket: str, kept: StackSecrets) -> dict[str, str]:
    """A whole environment. No vendor is there: `RUNPOD_BASE_URL` names a closed port."""
    return {
        "DATABASE_URL": dsn,
        "R2_ENDPOINT": endpoint,
        "R2_BUCKET": bucket,
        "R2_REGION": "us-east-1",
        "R2_ACCESS_KEY_ID": "test",
        "R2_SECRET_ACCESS_KEY": "test",
        "RUNPOD_BASE_URL": "http://127.0.0.1:9",
        "RUNPOD_ENDPOINT_ID": "local",
        "RUNPOD_API_KEY": kept.runpod_api_key,
        "PUBLIC_APP_URL": PUBLIC_URL,
        "WEBHOOK_SECRETS": kept.webhook_secret,
        "CAPABILITY_SECRETS": kept.capability_secret,
        "JWT_SECRET": kept.jwt_secret,
        "LEDGER_KEY": kept.ledger_key,
    }
