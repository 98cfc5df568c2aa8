"""`secrets`: a new file of settings, with every secret of the operator's own making in it."""

import os
from collections.abc import Iterable
from pathlib import Path

from infra.embedded.stack_secrets import StackSecrets
from infra.settings import LEDGER_NAME

HEAD = """\
# Settings of codex-media, made by `codex-media secrets`. Whoever reads this file can act as the
# service: keep it as you keep passwords. A copy of LEDGER_KEY belongs in another place as well."""
TO_FILL_IN = (
    ("DATABASE_URL", "postgresql://USER:PASSWORD@HOST:5432/DATABASE"),
    ("R2_ENDPOINT", "https://ACCOUNT.r2.cloudflarestorage.com, or another S3's address"),
    ("R2_BUCKET", "the bucket"),
    ("R2_ACCESS_KEY_ID", "a key that may read, write, list and delete in it"),
    ("R2_SECRET_ACCESS_KEY", "and its secret"),
    ("RUNPOD_ENDPOINT_ID", "the Serverless endpoint that runs our worker"),
    ("RUNPOD_API_KEY", "a key of your RunPod account"),
    ("PUBLIC_APP_URL", "https://… as RunPod and browsers reach this service"),
)
APP, BUCKET_HOST = "media.localhost", "bucket.localhost"
"""Names that browsers look for on their own machine, and that compose.yaml gives its containers."""


class EnvFileThere(Exception):
    """The file exists, and may hold the only copy of secrets in use."""

    code = "file_exists"

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is there already; move it away, or name another file")


class LedgerNameInvalid(Exception):
    """A name that no checkpoint can be published under."""

    code = "ledger_name_invalid"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name!r} names no ledger: letters, digits and . / _ - alone, at most 100, "
            "such as media.example.com"
        )


def for_hosts_elsewhere(ledger_name: str) -> str:
    """Secrets, and what must be filled in by hand: for parts that others host."""
    made = StackSecrets.generate()
    return _text(
        "To be filled in:",
        (f"# {what}\n{name}=" for name, what in TO_FILL_IN),
        "Made just now. WEBHOOK_SECRET is the worker's: for the template of its endpoint.",
        _lines(_own(made, ledger_name)),
    )


def for_compose(ledger_name: str) -> str:
    """Everything that compose.yaml asks for: nothing is left to be filled in."""
    made = StackSecrets.generate()
    addresses = {
        "PUBLIC_APP_URL": f"http://{APP}:8000",
        "R2_ENDPOINT": f"http://{BUCKET_HOST}:8333",
        # Of the stand-in (profile `cpu`). RunPod's own: leave RUNPOD_BASE_URL out.
        "RUNPOD_BASE_URL": "http://runpod:8010",
        "RUNPOD_ENDPOINT_ID": "local",
        "RUNPOD_API_KEY": made.runpod_api_key,
    }
    keys = {
        "POSTGRES_PASSWORD": made.r2_secret_access_key[:48],
        "R2_ACCESS_KEY_ID": made.r2_access_key_id,
        "R2_SECRET_ACCESS_KEY": StackSecrets.generate().r2_secret_access_key,
    }
    return _text(
        "Addresses, as compose.yaml has them:",
        _lines(addresses),
        "Made just now:",
        _lines(keys | _own(made, ledger_name)),
    )


def _own(made: StackSecrets, ledger_name: str) -> dict[str, str]:
    if not LEDGER_NAME.fullmatch(ledger_name):
        raise LedgerNameInvalid(ledger_name)
    return {
        "JWT_SECRET": made.jwt_secret,
        "WEBHOOK_SECRETS": made.webhook_secret,
        "WEBHOOK_SECRET": made.webhook_secret,
        "CAPABILITY_SECRETS": made.capability_secret,
        "LEDGER_KEY": f"{ledger_name}:{made.ledger_key.partition(':')[2]}",
    }


def _lines(values: dict[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in values.items()]


def _text(above: str, first: Iterable[str], between: str, second: Iterable[str]) -> str:
    return "\n".join([HEAD, "", f"# {above}", *first, "", f"# {between}", *second, ""])


def write_new(path: Path, text: str) -> None:
    """Write the file, readable by this user alone; `EnvFileThere` rather than replace one."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise EnvFileThere(path) from None
    with os.fdopen(handle, "w") as file:
        file.write(text)
