"""Every problem a call can be answered with: its code, its HTTP status, and what to do about it.

docs/errors.md, the page `/docs/problems` and the OpenAPI document are made from this table.
"""

from typing import NamedTuple

PAGE = "/docs/problems"
"""Where the service itself explains them; a problem's `type` leads to its place there."""


class ProblemKind(NamedTuple):
    """What a code means, and what its reader can do."""

    status: int
    meaning: str
    remedy: str


CATALOGUE: dict[str, ProblemKind] = {
    "body_incomplete": ProblemKind(
        400, "The request's body ended before it was whole.", "Send the request again."
    ),
    "retry_refused": ProblemKind(
        400,
        "The item cannot be tried again: it has not failed, or no attempt is left.",
        "Read the item's status. Without an attempt left, upload the file anew.",
    ),
    "unauthenticated": ProblemKind(
        401,
        "The token, or the webhook's signature, is missing, expired or not valid here.",
        "Sign in again, and send the new token. Check the clock of the machine that signs.",
    ),
    "access_denied": ProblemKind(
        403,
        "There is no such item, or it is somebody else's; which of the two is not said.",
        "Check the id. A playback URL that is over is renewed by asking for playback again.",
    ),
    "foreign_origin": ProblemKind(
        403,
        "A request with a session cookie that changes something came from another site's page.",
        "Send it from our own pages, or with `Authorization: Bearer`.",
    ),
    "role_required": ProblemKind(
        403, "The token lacks the role that this call needs.", "Sign in with that role."
    ),
    "sign_in_off": ProblemKind(
        403,
        "Signing in as anybody is for local trials alone.",
        "Take a token from your identity provider.",
    ),
    "quota_exceeded": ProblemKind(
        403,
        "The creator has as many files, or as many bytes, as one may have.",
        "Erase what is not needed any more, or ask the operator for more.",
    ),
    "no_checkpoint": ProblemKind(
        404, "No event is sealed yet.", "See that `codex-media work` runs; ask again."
    ),
    "no_evidence": ProblemKind(
        404,
        "No message with this SHA-256 is kept, or not any more.",
        "Take the SHA-256 from an event's `evidence`. What was erased is gone for good.",
    ),
    "not_found": ProblemKind(404, "There is nothing at this path.", "Check the path."),
    "version_unknown": ProblemKind(
        404,
        "The item had no event by then.",
        "Ask for a version or time that the answer's text names.",
    ),
    "method_not_allowed": ProblemKind(
        405, "The path does not take this method.", "Use one that the header `Allow` names."
    ),
    "not_acceptable": ProblemKind(
        406,
        "The call answers in none of the media types that `Accept` names.",
        "Accept one that the answer's text names, or `*/*`.",
    ),
    "body_timeout": ProblemKind(
        408, "The request's body did not arrive in time.", "Send it again, faster."
    ),
    "conflict": ProblemKind(
        409, "The item was changed at the same moment, again and again.", "Send it again."
    ),
    "invalid_state": ProblemKind(
        409, "The item's state does not allow this.", "Read the item's status, and act on that."
    ),
    "refused": ProblemKind(
        409, "The request was refused for the reason that the text gives.", "Read the text."
    ),
    "transcoding_running": ProblemKind(
        409, "A job for this item is running already.", "Wait until the item is ready or failed."
    ),
    "upload_incomplete": ProblemKind(
        409,
        "Parts of the file are missing.",
        "Ask for their URLs (`GET /api/media/{id}/upload`), send them, complete the upload.",
    ),
    "upload_missing": ProblemKind(
        409, "The file is not in the bucket yet.", "Upload it, then complete the upload."
    ),
    "body_too_large": ProblemKind(
        413, "The request's body is larger than the call takes.", "Send less."
    ),
    "unsupported_media_type": ProblemKind(
        415, "The body is not of the media type that the call takes.", "Send JSON, and say so."
    ),
    "idempotency_key_reused": ProblemKind(
        422,
        "The Idempotency-Key was used for a different request, or for an item that was erased.",
        "Use a new key.",
    ),
    "invalid_request": ProblemKind(
        422,
        "A field, parameter or header is not what it must be; `errors` names each wrong field.",
        "Correct what is named.",
    ),
    "upload_mismatch": ProblemKind(
        422,
        "The uploaded object is not what was declared.",
        "Register the file anew, with its true size and type.",
    ),
    "upload_refused": ProblemKind(
        422, "A file of this size or type is not taken.", "Upload another export of it."
    ),
    "quota_used_up": ProblemKind(
        429,
        "The creator has as much under way as one may have at a time.",
        "Finish or give up uploads, or wait as long as `Retry-After` says.",
    ),
    "rate_limited": ProblemKind(
        429,
        "The caller asked more often than one may.",
        "Wait as long as `Retry-After` says. `RateLimit` tells how much is left.",
    ),
    "too_many_streams": ProblemKind(
        429,
        "The creator has as many event streams open as one may have.",
        "Close one, or share it. `Retry-After` says when to try again.",
    ),
    "internal_error": ProblemKind(
        500, "A bug on our side; it was logged.", "Tell the operator when it was, and what for."
    ),
    "deadline_exceeded": ProblemKind(
        503,
        "It took longer than a request may. It may have happened.",
        "Look whether it happened; send it again if not.",
    ),
    "overloaded": ProblemKind(
        503, "This process has as many requests as it takes.", "Wait a second, and send it again."
    ),
    "streams_full": ProblemKind(
        503,
        "This process has as many event streams as it takes.",
        "Wait as long as `Retry-After` says, and connect again.",
    ),
    "unavailable": ProblemKind(
        503,
        "A part of the service does not answer at the moment. Nothing was lost.",
        "Wait as long as `Retry-After` says, and send it again.",
    ),
}


def type_of(code: str) -> str:
    """The problem's `type` (RFC 9457, 3.1.1): a reference to where the service explains it."""
    return f"{PAGE}#{code}"
