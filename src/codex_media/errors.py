"""What can go wrong with a call.

CodexMediaError
├── ServiceUnreachable     nobody answered, or not in time
│   ├── UploadInterrupted  the bucket did not take the whole file; what it took is kept
│   └── StreamBroken       what came is none of the service's streams
└── ServiceRefused         the service said no; `code` says why
    ├── Unauthenticated    the token is missing, over or not valid there
    ├── AccessDenied       no such item, or somebody else's
    ├── Forbidden          the token does not allow this
    ├── NotFound           nothing is there, or was then
    ├── InvalidRequest     something in the request is not as it must be: `fields` names it
    ├── UploadRefused      the file, or what was said of it, is not taken
    ├── UploadUnfinished   the file, or parts of it, have not arrived
    ├── InvalidState       the item's state does not allow this
    ├── KeyReused          the Idempotency-Key was used before, for something else
    ├── TryLater           not now; after `retry_after_s`, if the service said so
    └── ServiceFailed      a bug on the service's side, or an answer that is none of ours
"""

from typing import Any, NamedTuple

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError


class CodexMediaError(Exception):
    """Base of all. `code` is stable; the text is for people."""

    code = "failed"


class ServiceUnreachable(CodexMediaError):
    """The service, or the bucket, did not answer."""

    code = "unreachable"


class UploadInterrupted(ServiceUnreachable):
    """The bucket did not take the whole file; what it took is kept."""

    code = "upload_interrupted"


class StreamBroken(ServiceUnreachable):
    """What came is none of the service's streams."""

    code = "stream_broken"


class WrongField(NamedTuple):
    """A field, and what is wrong with it."""

    field: str
    message: str


class ServiceRefused(CodexMediaError):
    """The service said no; `code` is stable, the text is for people."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        fields: tuple[WrongField, ...] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.fields = fields
        self.retry_after_s = retry_after_s


class Unauthenticated(ServiceRefused):
    """The token is missing, over or not valid there: sign in again."""


class AccessDenied(ServiceRefused):
    """There is no such item, or it is somebody else's."""


class Forbidden(ServiceRefused):
    """The token does not allow this."""


class NotFound(ServiceRefused):
    """Nothing is there, or was then."""


class InvalidRequest(ServiceRefused):
    """Something in the request is not as it must be."""


class UploadRefused(ServiceRefused):
    """The file, or what was said of it, is not taken."""


class UploadUnfinished(ServiceRefused):
    """The file, or parts of it, have not arrived."""


class InvalidState(ServiceRefused):
    """The item's state does not allow this."""


class KeyReused(ServiceRefused):
    """The Idempotency-Key was used for another request, or for an item that was erased."""


class TryLater(ServiceRefused):
    """Not now."""


class ServiceFailed(ServiceRefused):
    """A bug on the service's side, or an answer that is none of ours."""


BY_CODE: dict[str, type[ServiceRefused]] = {
    "access_denied": AccessDenied,
    "body_incomplete": InvalidRequest,
    "body_timeout": TryLater,
    "body_too_large": InvalidRequest,
    "conflict": TryLater,
    "deadline_exceeded": TryLater,
    "foreign_origin": Forbidden,
    "idempotency_key_reused": KeyReused,
    "internal_error": ServiceFailed,
    "invalid_request": InvalidRequest,
    "invalid_state": InvalidState,
    "method_not_allowed": InvalidRequest,
    "no_checkpoint": NotFound,
    "no_evidence": NotFound,
    "not_acceptable": InvalidRequest,
    "not_found": NotFound,
    "overloaded": TryLater,
    "quota_exceeded": Forbidden,
    "quota_used_up": TryLater,
    "rate_limited": TryLater,
    "refused": InvalidState,
    "retry_refused": InvalidState,
    "role_required": Forbidden,
    "sign_in_off": Forbidden,
    "streams_full": TryLater,
    "too_many_streams": TryLater,
    "transcoding_running": InvalidState,
    "unauthenticated": Unauthenticated,
    "unavailable": TryLater,
    "unsupported_media_type": InvalidRequest,
    "upload_incomplete": UploadUnfinished,
    "upload_mismatch": UploadRefused,
    "upload_missing": UploadUnfinished,
    "upload_refused": UploadRefused,
    "version_unknown": NotFound,
}
BY_STATUS: dict[int, type[ServiceRefused]] = {
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: InvalidState,
    422: InvalidRequest,
    429: TryLater,
    502: TryLater,
    503: TryLater,
    504: TryLater,
}
"""For codes that are newer than this client."""


class _Problem(BaseModel):
    model_config = ConfigDict(extra="ignore")

    code: str
    detail: str
    errors: list[dict[str, Any]] = []


def refusal(answer: httpx.Response) -> ServiceRefused:
    """The error that an answer's problem details (RFC 9457) stand for; its body was read."""
    status, wait = answer.status_code, retry_after_s(answer)
    try:
        problem = _Problem.model_validate_json(answer.content)
    except ValidationError:
        kind = BY_STATUS.get(status, ServiceFailed)
        return kind(status, "unexpected_answer", f"The service answered {status}.", (), wait)
    kind = BY_CODE.get(problem.code) or BY_STATUS.get(status, ServiceRefused)
    fields = tuple(
        WrongField(str(each.get("field", "")), str(each.get("message", "")))
        for each in problem.errors
    )
    return kind(status, problem.code, problem.detail, fields, wait)


def retry_after_s(answer: httpx.Response) -> float | None:
    """What `Retry-After` says, in seconds; None where it says nothing, or names a date."""
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 9 else None
