"""Every outside part of the service on one machine, for `demo`, `up` and whole-flow tests."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.embedded.object_store import BucketKeys, ObjectStore, start_object_store
from infra.embedded.postgres import Postgres, start_postgres
from infra.embedded.runpod_chaos import ChaosPlan
from infra.embedded.runpod_local import (
    WORKER_ARGV,
    RunpodEndpoint,
    start_runpod_stand_in,
    start_worker,
)
from infra.embedded.stack_secrets import StackSecrets
from infra.embedded.supervisor import Supervisor

BUCKET = "codex-media"
IMPATIENCE = {"POLL_FIRST_S": "2", "POLL_LAST_S": "5", "UNKNOWN_WAIT_S": "10"}
"""Settings of a service that has chaos to live through: in minutes what else takes hours."""


@dataclass(frozen=True)
class StackOptions:
    """What may differ from one stack to the next."""

    workers: int = 1
    worker_argv: Sequence[str] = WORKER_ARGV
    worker_environ: Mapping[str, str] | None = None
    """Further settings of the workers, e.g. `ENCODER`."""
    runpod_environ: Mapping[str, str] | None = None
    """Shorter times for the stand-in, e.g. `RUNPOD_STAND_IN_WEBHOOK_RETRY_S`."""
    chaos: ChaosPlan | None = None
    """What goes wrong with the stand-in, its webhooks and the workers' callbacks."""
    durable: bool = True
    """False: no fsync, for tests."""


@dataclass(frozen=True)
class EmbeddedStack:
    """Running parts. The service's own processes are started through `supervisor`, with `environ`
    and a `PUBLIC_APP_URL`; being the last started, they are the first stopped."""

    supervisor: Supervisor
    environ: Mapping[str, str]
    """What `serve` and `work` need, apart from `PUBLIC_APP_URL`."""
    postgres: Postgres
    object_store: ObjectStore
    runpod: RunpodEndpoint


@asynccontextmanager
async def embedded_stack(
    folder: Path, options: StackOptions | None = None
) -> AsyncIterator[EmbeddedStack]:
    """Starts all parts on `folder`, at once, and stops them within five seconds on leaving.

    A folder used before gives its data and secrets back. Raises FolderBusy, PartMissing, ChildDied,
    ChildNotReady or SecretsUnreadable; nothing runs then.
    """
    options = options or StackOptions()
    async with Supervisor(folder) as supervisor:
        stack_secrets = StackSecrets.of_folder(supervisor.folder)
        yield await _start(supervisor, stack_secrets, options)


async def _start(
    supervisor: Supervisor, stack_secrets: StackSecrets, options: StackOptions
) -> EmbeddedStack:
    keys = BucketKeys(stack_secrets.r2_access_key_id, stack_secrets.r2_secret_access_key)
    try:
        async with asyncio.TaskGroup() as group:
            postgres = group.create_task(start_postgres(supervisor, durable=options.durable))
            store = group.create_task(start_object_store(supervisor, keys, BUCKET))
            runpod = group.create_task(
                start_runpod_stand_in(
                    supervisor,
                    stack_secrets.runpod_api_key,
                    options.runpod_environ,
                    options.chaos,
                )
            )
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures
    bucket = bucket_environ(store.result(), keys)
    for number in range(1, options.workers + 1):
        # Tried out on a laptop, a quick answer is worth more than a point of VMAF.
        environ = bucket | {
            "WEBHOOK_SECRET": stack_secrets.webhook_secret,
            "X264_PRESET": "veryfast",
        }
        environ |= dict(options.worker_environ or {})
        await start_worker(
            supervisor, runpod.result(), f"worker-{number}", environ, options.worker_argv
        )
    environ = service_environ(postgres.result(), runpod.result(), stack_secrets) | bucket
    environ |= IMPATIENCE if options.chaos else {}
    return EmbeddedStack(supervisor, environ, postgres.result(), store.result(), runpod.result())


def bucket_environ(store: ObjectStore, keys: BucketKeys) -> dict[str, str]:
    """How the service and the worker reach the bucket."""
    return {
        "R2_ENDPOINT": store.endpoint,
        "R2_BUCKET": store.bucket,
        "R2_REGION": store.region,
        "R2_ACCESS_KEY_ID": keys.access_key_id,
        "R2_SECRET_ACCESS_KEY": keys.secret_access_key,
    }


def service_environ(
    postgres: Postgres, runpod: RunpodEndpoint, stack_secrets: StackSecrets
) -> dict[str, str]:
    """What the service needs beside the bucket and its own address."""
    return {
        "DATABASE_URL": postgres.dsn,
        "RUNPOD_BASE_URL": runpod.base_url,
        "RUNPOD_ENDPOINT_ID": runpod.endpoint_id,
        "RUNPOD_API_KEY": runpod.api_key,
        "WEBHOOK_SECRETS": stack_secrets.webhook_secret,
        "CAPABILITY_SECRETS": stack_secrets.capability_secret,
        "JWT_SECRET": stack_secrets.jwt_secret,
        "LEDGER_KEY": stack_secrets.ledger_key,
        # Everybody has this machine's address, and a trial's creator asks for a thousand.
        "RATE_LIMITS": "false",
    }
