"""Parameters of calls, and headers of answers, as the OpenAPI document describes them."""

from typing import Any, NamedTuple

from domain.lifecycle import Status

Json = dict[str, Any]


class Parameter(NamedTuple):
    """A header or query parameter: what it means, and which values it takes (JSON Schema)."""

    name: str
    meaning: str
    schema: Json
    example: str | int | None = None
    required: bool = False


MAX_PAGE, DEFAULT_PAGE = 200, 50
MAX_VERSION_DIGITS = 9
MAX_SEQ_DIGITS = 18
"""What PostgreSQL's bigint certainly holds."""
MAX_KEY_LENGTH = 255
TEXT: Json = {"type": "string"}

STATUS = Parameter(
    "status", "Only items in this state.", {"type": "string", "enum": [*Status]}, "ready"
)
CURSOR = Parameter(
    "cursor",
    "`nextCursor` of the page before; no other is taken.",
    {"type": "string", "pattern": "^[A-Za-z0-9_-]{44}$"},
)
LIMIT = Parameter(
    "limit",
    f"How many items at most; {DEFAULT_PAGE} when left out.",
    {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": DEFAULT_PAGE},
    20,
)
VERSION = Parameter(
    "version",
    "As after this many events. Not together with `at`.",
    {"type": "integer", "minimum": 0, "maximum": 10**MAX_VERSION_DIGITS - 1},
    1,
)
AT = Parameter(
    "at",
    "As of this time (RFC 3339). Not together with `version`.",
    {"type": "string", "format": "date-time"},
    "2026-11-02T09:00:00Z",
)
AFTER = Parameter(
    "after",
    "Begin after this `seq`; from the first event when left out.",
    {"type": "integer", "minimum": 0, "maximum": 10**MAX_SEQ_DIGITS - 1, "default": 0},
    0,
)

IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    "The same key and request name the same item again.",
    {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH},
    "5f0c7a52-4a0e-4d55-9d3c-0f6f5f0b8f5e",
)
IF_NONE_MATCH = Parameter(
    "If-None-Match", "The ETag of an earlier answer: 304 if nothing changed.", TEXT, '"3-0"'
)
LAST_EVENT_ID = Parameter(
    "Last-Event-ID", "Resume after this event, missing none and getting none twice.", TEXT, "42"
)
WEBHOOK_ID = Parameter(
    "webhook-id", "Names the message; a second delivery changes nothing.", TEXT, required=True
)
WEBHOOK_TIMESTAMP = Parameter(
    "webhook-timestamp", "Unix seconds, within five minutes.", TEXT, required=True
)
WEBHOOK_SIGNATURE = Parameter(
    "webhook-signature",
    "`v1,` and the Base64 of an HMAC-SHA256; several by spaces.",
    TEXT,
    required=True,
)

LOCATION = Parameter(
    "Location", "Where the item is.", {"type": "string", "format": "uri-reference"}
)
ETAG = Parameter("ETag", "Names this state of it, for `If-None-Match`.", TEXT)
CACHE_CONTROL = Parameter("Cache-Control", "How long the answer may be kept, and by whom.", TEXT)
CONTENT_DISPOSITION = Parameter("Content-Disposition", "The name to save it by.", TEXT)
EVIDENCE_KIND = Parameter("Evidence-Kind", "Which channel the message came by.", TEXT)
LAST_MODIFIED = Parameter("Last-Modified", "When it was kept.", TEXT)
SET_COOKIE = Parameter("Set-Cookie", "The session cookie.", TEXT)
VARY = Parameter("Vary", "What of the request the answer depends on.", TEXT)
ALLOW_ORIGIN = Parameter("Access-Control-Allow-Origin", "Players of any site may load it.", TEXT)
RETRY_AFTER = Parameter("Retry-After", "Seconds to wait before the next try.", {"type": "integer"})
WWW_AUTHENTICATE = Parameter("WWW-Authenticate", "How to authenticate (RFC 9110).", TEXT)
