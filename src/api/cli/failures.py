"""The failures a command tells as a sentence. Everything else is a bug and shows where."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from api.cli.env_file import EnvFileThere, LedgerNameInvalid
from api.cli.file import UnusableFile
from api.cli.output import print_json
from api.cli.place import CreatorInvalid, NothingRunning
from codex_media import CodexMediaError
from domain.errors import StorageUnavailable
from infra.embedded.errors import EmbeddedError
from infra.ledger.bundle import BundleUnreadable
from infra.postgres.migrations import RightsMissing
from infra.postgres.pool import UNAVAILABLE, SchemaBehind
from infra.postgres.replay import ReplayForbidden, ReplayRunning
from infra.settings import SettingsInvalid

KNOWN: tuple[type[Exception], ...] = (
    CodexMediaError,
    UnusableFile,
    EnvFileThere,
    LedgerNameInvalid,
    CreatorInvalid,
    NothingRunning,
    EmbeddedError,
    StorageUnavailable,
    SchemaBehind,
    RightsMissing,
    BundleUnreadable,
    ReplayForbidden,
    ReplayRunning,
    SettingsInvalid,
    *UNAVAILABLE,
)


@contextmanager
def told(*, as_json: bool) -> Iterator[None]:
    """Tell a known failure and exit with 1; with `as_json`, on stdout as an object too."""
    try:
        yield
    except KNOWN as error:
        sentence = _sentence(error)
        if as_json:
            code = getattr(error, "code", "failed")
            print_json({"status": None, "error": {"code": code, "message": sentence}})
        typer.secho(f"error: {sentence}", fg="red", err=True)
        raise SystemExit(1) from None


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'the system'}: {error.strerror}"
    return str(error) or type(error).__name__
