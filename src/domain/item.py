"""One media item, as its history makes it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid5

from domain import events as e
from domain.errors import InvalidTransition
from domain.failure import ErrorCode
from domain.lifecycle import Status

MAX_ATTEMPTS = 2
"""One for the upload, one manual retry: a transcode that failed mostly fails again."""
MAX_JOBS_PER_ATTEMPT = 2
"""A job that RunPod lost is submitted again once within its attempt."""
JOB_ID = r"^[A-Za-z0-9_-]{1,100}$"
"""What a job's id looks like, whoever names it."""
ERASED_TEXT = "This text was erased."
"""In place of a failure's message, where an earlier state of an erased item is looked at."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the item is `failed`."""

    code: ErrorCode
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class MediaItem:
    """The state folded from a stream. `version` counts its events."""

    status: Status
    version: int
    creator_id: str
    media_type: e.MediaType
    input_key: str | None
    file_name: str | None
    content_type: str
    declared_size: int
    deadline: datetime | None
    """When the present state ends by itself; None in final states."""
    size: int | None = None
    etag: str | None = None
    attempt: int = 0
    attempt_id: UUID | None = None
    job_ids: tuple[str, ...] = ()
    """Jobs accepted for the present attempt, oldest first."""
    started: bool = False
    outputs: e.TranscodingCompleted | None = None
    failure: Failure | None = None
    commitments: tuple[str, ...] = ()
    """What its events say of a person, as they commit to it, in their order."""

    @property
    def stored_key(self) -> str:
        """Where the file lies; `InvalidTransition` once that was erased."""
        if self.input_key is None:
            raise InvalidTransition(self.status, "using the file")
        return self.input_key

    @property
    def runpod_job_id(self) -> str | None:
        """The job that is thought to run, or ran last."""
        return self.job_ids[-1] if self.job_ids else None

    def runs(self, attempt: int) -> bool:
        """Whether `attempt` is the one under way. A report about any other one is late."""
        return self.status is Status.TRANSCODING and self.attempt == attempt


def attempt_id(media_id: UUID, attempt: int) -> UUID:
    """The same id for the same attempt, whoever computes it (RFC 9562, version 5)."""
    return uuid5(media_id, f"attempt/{attempt}")
