"""What a command can be refused for.

DomainError
├── AccessDenied            missing and foreign items alike
├── InvalidTransition       the item is in the wrong state for this
│   ├── RetryRefused        not failed, or no attempt left
│   └── TranscodingRunning  a job runs already
├── UploadRefused           what was declared cannot be accepted
├── QuotaExceeded           its creator has as much as may be had
│   └── QuotaUsedUp         for now: some of it comes back
├── UploadMismatch          the object is not what was declared
├── UploadMissing           no object at the registered key
│   └── UploadIncomplete    parts of it are missing
├── IdempotencyKeyReused    the same key with another request
└── ConcurrencyConflict     somebody else appended first
TranscoderError             the vendor's API did not take the job
├── TranscoderRejected      it said no; asking again will not help
│   └── TranscoderForbidden it refuses our key
└── TranscoderUnavailable   it may say yes later
    └── TranscoderUnknown   nobody knows what it said
StorageUnavailable          the bucket did not answer
StoreInterrupted            the connection broke during an append
"""

from uuid import UUID

from domain.lifecycle import Status


class DomainError(Exception):
    """Base of all refusals. `code` is stable; the text is for people."""

    code = "refused"


class AccessDenied(DomainError):
    """The item does not exist or belongs to somebody else; which of the two is not said."""

    code = "access_denied"

    def __init__(self, media_id: UUID) -> None:
        super().__init__("There is no such media item, or it is not yours.")
        self.media_id = media_id


class InvalidTransition(DomainError):
    """The item's state does not allow this."""

    code = "invalid_state"

    def __init__(self, status: Status, wanted: str, message: str | None = None) -> None:
        super().__init__(message or f"The item is {status}; {wanted} is not possible now.")
        self.status = status
        self.wanted = wanted


class RetryRefused(InvalidTransition):
    """A retry is not possible, and the text says why."""

    code = "retry_refused"

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(status, "retry", reason)


class TranscodingRunning(InvalidTransition):
    """A retry was asked for while a job runs."""

    code = "transcoding_running"

    def __init__(self) -> None:
        super().__init__(Status.TRANSCODING, "retry", "A job for this item is running already.")


class UploadRefused(DomainError):
    """The declared file cannot be accepted."""

    code = "upload_refused"


class QuotaExceeded(DomainError):
    """A creator has as many files, or as many bytes, as one may have."""

    code = "quota_exceeded"


class QuotaUsedUp(QuotaExceeded):
    """So it is for now; `retry_after_s` says for how long, where time alone helps."""

    code = "quota_used_up"

    def __init__(self, message: str, retry_after_s: int | None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class UploadMissing(DomainError):
    """There is no object at the key the item was registered with."""

    code = "upload_missing"

    def __init__(self) -> None:
        super().__init__("The file is not in the bucket yet. Upload it, then complete the upload.")


class UploadIncomplete(UploadMissing):
    """Parts of the file are missing."""

    code = "upload_incomplete"

    def __init__(self, missing: int, of: int) -> None:
        DomainError.__init__(
            self,
            f"{missing} of the file's {of} parts are missing. Ask for their URLs "
            "(GET …/upload), send them, then complete the upload.",
        )
        self.missing = missing


class UploadMismatch(DomainError):
    """The object in the bucket is not what was declared."""

    code = "upload_mismatch"

    def __init__(self, what: str, declared: object, found: object) -> None:
        super().__init__(f"The {what} declared was {declared}, the {what} found is {found}.")
        self.declared = declared
        self.found = found


class IdempotencyKeyReused(DomainError):
    """An Idempotency-Key was used before: for another request, or for an item that was erased."""

    code = "idempotency_key_reused"

    def __init__(self, *, erased: bool = False) -> None:
        used = "an item that was erased" if erased else "a different request"
        super().__init__(f"This Idempotency-Key was used for {used}. Use a new one.")


class ConcurrencyConflict(DomainError):
    """The stream moved on since it was read."""

    code = "conflict"

    def __init__(self, stream_id: UUID, expected_version: int) -> None:
        super().__init__("The item was changed at the same moment. Try again.")
        self.stream_id = stream_id
        self.expected_version = expected_version


class TranscoderError(Exception):
    """The vendor's API did not do what was asked."""


class TranscoderRejected(TranscoderError):
    """A final no (4xx): the request, the key or the endpoint is wrong."""


class TranscoderForbidden(TranscoderRejected):
    """RunPod refuses our key: every call will fail until an operator acts."""


class TranscoderUnavailable(TranscoderError):
    """Not reached, 429 or 5xx: it may work later, after `retry_after_s` seconds if it said so."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TranscoderUnknown(TranscoderUnavailable):
    """No answer came, or none that names the job: it may have been queued all the same."""


class StoreInterrupted(Exception):
    """The connection broke during an append: it may have happened. Send the same command again."""


class StorageUnavailable(Exception):
    """The bucket did not answer, or refused us."""
