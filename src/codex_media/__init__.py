"""A typed client of codex-media: `MediaClient` blocks, `AsyncMediaClient` does not.

Needs httpx and pydantic, and nothing of the service's own code. docs/client.md shows its use.
"""

from codex_media.aio import AsyncMediaClient
from codex_media.client import MediaClient
from codex_media.errors import (
    AccessDenied,
    CodexMediaError,
    Forbidden,
    InvalidRequest,
    InvalidState,
    KeyReused,
    NotFound,
    ServiceFailed,
    ServiceRefused,
    ServiceUnreachable,
    TryLater,
    Unauthenticated,
    UploadInterrupted,
    UploadRefused,
    UploadUnfinished,
)
from codex_media.models import (
    ErrorCode,
    History,
    Media,
    MediaPage,
    MediaStatus,
    Playback,
    Registered,
    Status,
)

__all__ = [
    "AccessDenied",
    "AsyncMediaClient",
    "CodexMediaError",
    "ErrorCode",
    "Forbidden",
    "History",
    "InvalidRequest",
    "InvalidState",
    "KeyReused",
    "Media",
    "MediaClient",
    "MediaPage",
    "MediaStatus",
    "NotFound",
    "Playback",
    "Registered",
    "ServiceFailed",
    "ServiceRefused",
    "ServiceUnreachable",
    "Status",
    "TryLater",
    "Unauthenticated",
    "UploadInterrupted",
    "UploadRefused",
    "UploadUnfinished",
]
