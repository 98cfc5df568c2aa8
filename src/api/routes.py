"""The whole URL table."""

from api import audit, erasure, health, media, metrics, playback, session, transcoding, webhooks
from api import parameters as p
from api.audit_schemas import CheckpointOut, LedgerEventOut
from api.auth import Role
from api.live import stream
from api.live.messages import LiveProgressOut, MediaChangeOut, OpenOut
from api.operations import JSON, Operation
from api.schemas import (
    EventOut,
    Health,
    HistoryOut,
    MediaOut,
    MediaPage,
    PlaybackOut,
    RegisterRequest,
    RetryRequest,
    SessionOut,
    SignInRequest,
    StatusOut,
    WebhookAck,
)
from api.upload_schemas import RegisteredOut
from gpu_worker.contract import Report
from infra.figures.exposition import CONTENT_TYPE
from infra.rates import Pace

CREATORS = frozenset({Role.CREATOR})
ERASERS = frozenset({Role.CREATOR, Role.ADMIN})
AUDITORS = frozenset({Role.AUDITOR, Role.ADMIN})
READERS = frozenset({Role.CREATOR, Role.AUDITOR, Role.ADMIN})

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "GET", "/api/session", session.read_session,
        "Who is signed in", {200: SessionOut}, READERS,
    ),
    Operation(
        "POST", "/api/session", session.sign_in,
        "Sign in as anybody: local trials alone (`DEMO_SIGN_IN`)",
        {200: SessionOut}, body=SignInRequest, returns=(p.SET_COOKIE,), pace=Pace.SIGN_INS,
        problems=("foreign_origin", "sign_in_off", "method_not_allowed"), demo=True,
        changes_session=True,
    ),
    Operation(
        "DELETE", "/api/session", session.sign_out,
        "Sign out: drop the session cookie", {204: None}, returns=(p.SET_COOKIE,),
        problems=("foreign_origin",), changes_session=True,
    ),
    Operation(
        "POST", "/api/media", media.register_media,
        "Register a file; answers how to upload it, large ones in parts. Idempotency-Key honoured",
        {201: RegisteredOut}, CREATORS, RegisterRequest, pace=Pace.REGISTRATIONS,
        headers=(p.IDEMPOTENCY_KEY,), returns=(p.LOCATION,),
        problems=(
            "upload_refused", "idempotency_key_reused", "conflict", "quota_exceeded",
            "quota_used_up",
        ),
    ),
    Operation(
        "GET", "/api/media", media.list_media,
        "List one's items, newest first",
        {200: MediaPage}, CREATORS, query=(p.STATUS, p.CURSOR, p.LIMIT),
    ),
    Operation(
        "GET", "/api/media/{media_id}", media.read_media,
        "The projected item; with `version` or `at`, as it was then (auditors: anyone's)",
        {200: MediaOut}, READERS, query=(p.VERSION, p.AT), problems=("version_unknown",),
    ),
    Operation(
        "DELETE", "/api/media/{media_id}", erasure.erase_media,
        "Erase an item for good, with all that was made of it (admins: anyone's)",
        {202: MediaOut}, ERASERS, problems=("conflict",),
    ),
    Operation(
        "GET", "/api/media/{media_id}/upload", media.renew_upload,
        "Fresh URLs of what is missing, while the file has not arrived",
        {200: RegisteredOut}, CREATORS, problems=("invalid_state",),
    ),
    Operation(
        "DELETE", "/api/media/{media_id}/upload", media.abandon_upload,
        "Give up an upload; what arrived of it is dropped",
        {200: MediaOut}, CREATORS, problems=("invalid_state", "conflict"),
    ),
    Operation(
        "POST", "/api/media/{media_id}/complete", media.complete_upload,
        "Check the uploaded file and begin transcoding",
        {202: MediaOut}, CREATORS,
        problems=(
            "invalid_state", "upload_missing", "upload_incomplete", "upload_mismatch", "conflict",
        ),
    ),
    Operation(
        "GET", "/api/media/{media_id}/events", media.read_history,
        "The item's history with its hashes, as JSON or NDJSON by Accept",
        {200: HistoryOut}, READERS, media_types=(JSON, media.NDJSON), items={"line": EventOut},
        returns=(p.VARY,),
    ),
    Operation(
        "GET", "/api/media/{media_id}/playback", playback.read_playback,
        "URLs a player can load, for a limited time",
        {200: PlaybackOut}, CREATORS, problems=("invalid_state",),
    ),
    Operation(
        "GET", "/api/playback/{token}/{path:path}", playback.play,
        "A playlist with signed segments, for the bearer of the URL",
        {200: None}, media_types=(playback.HLS, playback.VTT),
        returns=(p.CACHE_CONTROL, p.ALLOW_ORIGIN), problems=("access_denied", "not_found"),
    ),
    Operation(
        "GET", "/api/transcoding/status/{media_id}", transcoding.read_status,
        "Status, outputs and progress; ETag and 304",
        {200: StatusOut, 304: None}, CREATORS,
        headers=(p.IF_NONE_MATCH,), returns=(p.ETAG, p.CACHE_CONTROL),
    ),
    Operation(
        "GET", "/api/transcoding/events", stream.read_stream,
        "Status and progress of one's own media as they change (server-sent events)",
        {200: None}, CREATORS, media_types=(stream.MEDIA_TYPE,), streamed=stream.HEADERS,
        items={"open": OpenOut, "media": MediaChangeOut, "progress": LiveProgressOut},
        headers=(p.LAST_EVENT_ID,), returns=(p.CACHE_CONTROL,),
        problems=("too_many_streams", "streams_full"),
    ),
    Operation(
        "POST", "/api/transcoding/retry", transcoding.retry_transcoding,
        "Try a failed item once more",
        {202: MediaOut}, CREATORS, RetryRequest,
        problems=("access_denied", "retry_refused", "transcoding_running", "conflict"),
    ),
    Operation(
        "POST", "/api/transcoding/webhook", webhooks.worker_webhook,
        "The worker's signed callback (Standard Webhooks)",
        {200: WebhookAck}, raw_body=Report, problems=("conflict",), reserved=True,
        pace=Pace.WEBHOOKS, headers=(p.WEBHOOK_ID, p.WEBHOOK_TIMESTAMP, p.WEBHOOK_SIGNATURE),
    ),
    Operation(
        "POST", "/api/transcoding/webhook/{token}", webhooks.runpod_webhook,
        "RunPod's native webhook, by a token in its URL",
        {200: WebhookAck}, reserved=True, pace=Pace.WEBHOOKS,
        problems=(
            "unauthenticated", "body_incomplete", "body_timeout", "body_too_large", "conflict",
        ),
    ),
    Operation(
        "GET", "/api/audit/events", audit.read_ledger,
        "All events in the ledger's order, as NDJSON",
        {200: None}, AUDITORS, media_types=(media.NDJSON,), items={"line": LedgerEventOut},
        streamed={}, query=(p.AFTER,),
    ),
    Operation(
        "GET", "/api/audit/checkpoint", audit.read_checkpoint,
        "The newest signed checkpoint, as JSON or text by Accept",
        {200: CheckpointOut}, AUDITORS, media_types=(JSON, audit.TEXT),
        returns=(p.VARY,), problems=("no_checkpoint",),
    ),
    Operation(
        "GET", "/api/audit/evidence/{sha256}", audit.read_evidence,
        "The raw message that an event rests on, by the SHA-256 that the event names",
        {200: None}, AUDITORS, media_types=(audit.BYTES,),
        returns=(p.CONTENT_DISPOSITION, p.EVIDENCE_KIND, p.LAST_MODIFIED),
        problems=("no_evidence", "invalid_request"),
    ),
    Operation(
        "GET", "/api/audit/bundle", audit.read_bundle,
        "A zip that proves the whole history offline",
        {200: None}, AUDITORS, media_types=(audit.ZIP,), streamed=audit.SAVED_AS,
        returns=(p.CONTENT_DISPOSITION,),
    ),
    Operation("GET", "/livez", health.livez, "The process answers", {200: Health}),
    Operation(
        "GET", "/readyz", health.readyz,
        "Database, schema and bucket answer", {200: Health, 503: Health}, reserved=True,
    ),
    Operation(
        "GET", "/metrics", metrics.read_metrics,
        "What betrays trouble, for Prometheus",
        {200: None}, media_types=(CONTENT_TYPE,),
    ),
    Operation(
        "GET", "/openapi.json", health.read_openapi, "This API as OpenAPI 3.1", {200: None}
    ),
)  # fmt: skip
