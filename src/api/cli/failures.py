"""The failures a command tells as a sentence. Everything else is a bug and shows where."""

from api.cli.client import ServiceRefused, ServiceUnreachable, UnknownFileType
from api.cli.place import NothingRunning
from infra.embedded.errors import EmbeddedError
from infra.postgres.migrations import SchemaBehind
from infra.postgres.pool import UNAVAILABLE
from infra.settings import SettingsInvalid

KNOWN: tuple[type[Exception], ...] = (
    ServiceRefused,
    ServiceUnreachable,
    UnknownFileType,
    NothingRunning,
    EmbeddedError,
    SchemaBehind,
    SettingsInvalid,
    *UNAVAILABLE,
)
