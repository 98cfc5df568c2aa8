"""Where the commands find the service: the environment, or the one that runs in a data folder."""

import json
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import typer
from pydantic import TypeAdapter, ValidationError

from api.auth import Role, sign_token
from api.cli import DEFAULT_DATA
from codex_media import MediaClient
from gpu_worker.contract import CreatorId
from infra.settings import Settings, load

RUNNING = "running.json"
_CREATOR_ID: TypeAdapter[str] = TypeAdapter(CreatorId)
TOKEN_LIFE = timedelta(hours=12)
DEMO_CREATOR = "demo-creator"


class NothingRunning(Exception):
    """Neither the environment nor the data folder says where the service is."""

    code = "nothing_running"

    def __init__(self, data: Path) -> None:
        super().__init__(
            f"No service is known here: {data / RUNNING} does not exist and DATABASE_URL is not "
            "set. Start one with `codex-media up`, or set the service's variables."
        )


class CreatorInvalid(Exception):
    """A creator's id that no service would take."""

    code = "creator_invalid"


def write_running(data: Path, environ: Mapping[str, str]) -> Path:
    """Leave a running service's settings for other commands, readable by this user alone."""
    path = data / RUNNING
    half = path.with_suffix(".new")  # Who looks for the file finds it whole.
    half.unlink(missing_ok=True)
    with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(dict(environ), file)
    return half.replace(path)


def environment(data: Path | None) -> Mapping[str, str]:
    """The service's variables: of what runs in `data`; where none is named, from the environment,
    else of what runs in `DEFAULT_DATA`."""
    if data is None and "DATABASE_URL" in os.environ:
        return os.environ
    data = data or DEFAULT_DATA
    path = data / RUNNING
    if not path.is_file():
        raise NothingRunning(data)
    try:
        found: dict[str, str] = json.loads(path.read_text("utf-8"))
    except ValueError:
        raise NothingRunning(data) from None
    return found


def mint_token(settings: Settings, subject: str, roles: list[Role], life: timedelta) -> str:
    """A session token, signed with JWT_SECRET; `typer.BadParameter` where a JWKS is in use."""
    if settings.jwt_secret is None:
        raise typer.BadParameter("tokens come from your identity provider (JWKS_URL is set)")
    try:
        _CREATOR_ID.validate_python(subject)
    except ValidationError:
        raise CreatorInvalid(
            f"{subject!r} is no creator id: up to 64 letters, digits, _ and -, no _ or - first"
        ) from None
    return sign_token(settings, settings.jwt_secret, subject, roles, life)


def client(
    data: Path | None, subject: str | None = None, roles: list[Role] | None = None
) -> MediaClient:
    """A client of the service: as CODEX_MEDIA_URL and CODEX_MEDIA_TOKEN say, else as `subject`."""
    url, token = os.environ.get("CODEX_MEDIA_URL"), os.environ.get("CODEX_MEDIA_TOKEN")
    if url and token:
        return MediaClient(url, token)
    settings = load(environment(data))
    minted = mint_token(settings, subject or DEMO_CREATOR, roles or [Role.CREATOR], TOKEN_LIFE)
    return MediaClient(url or settings.public_app_url, token or minted)
