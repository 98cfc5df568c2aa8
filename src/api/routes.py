"""The whole URL table."""

from api import audit, erasure, health, media, metrics, playback, session, transcoding, webhooks
from api.audit_schemas import CheckpointOut, LedgerEventOut
from api.auth import Role
from api.live import stream
from api.operations import JSON, Operation
from api.schemas import (
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
        {200: SessionOut}, body=SignInRequest, problems=(403, 405), demo=True, changes_session=True,
        pace=Pace.SIGN_INS,
    ),
    Operation(
        "DELETE", "/api/session", session.sign_out,
        "Sign out: drop the session cookie", {204: None}, problems=(403,), changes_session=True,
    ),
    Operation(
        "POST", "/api/media", media.register_media,
        "Register a file; answers how to upload it, large ones in parts. Idempotency-Key honoured",
        {201: RegisteredOut}, CREATORS, RegisterRequest, pace=Pace.REGISTRATIONS,
        headers={"Idempotency-Key": "The same key and request name the same item again."},
    ),
    Operation(
        "GET", "/api/media", media.list_media,
        "List one's items, newest first",
        {200: MediaPage}, CREATORS,
        query={
            "status": "Only items in this state.",
            "cursor": "`nextCursor` of the page before.",
            "limit": f"1 to {media.MAX_PAGE} items; {media.DEFAULT_PAGE} when left out.",
        },
    ),
    Operation(
        "GET", "/api/media/{media_id}", media.read_media,
        "The projected item; with `version` or `at`, as it was then (auditors: anyone's)",
        {200: MediaOut}, READERS, problems=(404,),
        query={
            "version": "As after this many events.",
            "at": "As of this time (RFC 3339).",
        },
    ),
    Operation(
        "DELETE", "/api/media/{media_id}", erasure.erase_media,
        "Erase an item for good, with all that was made of it (admins: anyone's)",
        {202: MediaOut}, ERASERS,
    ),
    Operation(
        "GET", "/api/media/{media_id}/upload", media.renew_upload,
        "Fresh URLs of what is missing, while the file has not arrived",
        {200: RegisteredOut}, CREATORS, problems=(409,),
    ),
    Operation(
        "DELETE", "/api/media/{media_id}/upload", media.abandon_upload,
        "Give up an upload; what arrived of it is dropped",
        {200: MediaOut}, CREATORS, problems=(409,),
    ),
    Operation(
        "POST", "/api/media/{media_id}/complete", media.complete_upload,
        "Check the uploaded file and begin transcoding",
        {202: MediaOut}, CREATORS, problems=(409, 422),
    ),
    Operation(
        "GET", "/api/media/{media_id}/events", media.read_history,
        "The item's history with its hashes, as JSON or NDJSON by Accept",
        {200: HistoryOut}, READERS, media_types=(JSON, media.NDJSON),
    ),
    Operation(
        "GET", "/api/media/{media_id}/playback", playback.read_playback,
        "URLs a player can load, for a limited time",
        {200: PlaybackOut}, CREATORS, problems=(409,),
    ),
    Operation(
        "GET", "/api/playback/{token}/{path:path}", playback.play,
        "A playlist with signed segments, for the bearer of the URL",
        {200: None}, media_types=(playback.HLS,), problems=(403, 404),
    ),
    Operation(
        "GET", "/api/transcoding/status/{media_id}", transcoding.read_status,
        "Status, outputs and progress; ETag and 304",
        {200: StatusOut, 304: None}, CREATORS,
        headers={"If-None-Match": "The ETag of an earlier answer: 304 if nothing changed."},
    ),
    Operation(
        "GET", "/api/transcoding/events", stream.read_stream,
        "Status and progress of one's own media as they change (server-sent events)",
        {200: None}, CREATORS, media_types=(stream.MEDIA_TYPE,), problems=(429,),
        headers={"Last-Event-ID": "Resume after this event, missing none and getting none twice."},
    ),
    Operation(
        "POST", "/api/transcoding/retry", transcoding.retry_transcoding,
        "Try a failed item once more",
        {202: MediaOut}, CREATORS, RetryRequest, problems=(400, 409),
    ),
    Operation(
        "POST", "/api/transcoding/webhook", webhooks.worker_webhook,
        "The worker's signed callback (Standard Webhooks)",
        {200: WebhookAck}, raw_body=Report, problems=(401, 408, 413, 422), reserved=True,
        pace=Pace.WEBHOOKS,
        headers={
            "webhook-id": "Names the message; a second delivery changes nothing.",
            "webhook-timestamp": "Unix seconds, within five minutes.",
            "webhook-signature": "`v1,` and the Base64 of an HMAC-SHA256; several by spaces.",
        },
    ),
    Operation(
        "POST", "/api/transcoding/webhook/{token}", webhooks.runpod_webhook,
        "RunPod's native webhook, by a token in its URL",
        {200: WebhookAck}, problems=(401, 408, 413), reserved=True, pace=Pace.WEBHOOKS,
    ),
    Operation(
        "GET", "/api/audit/events", audit.read_ledger,
        "All events in the ledger's order, as NDJSON",
        {200: LedgerEventOut}, AUDITORS, media_types=(media.NDJSON,),
        query={"after": "Begin after this `seq`; from the first event when left out."},
    ),
    Operation(
        "GET", "/api/audit/checkpoint", audit.read_checkpoint,
        "The newest signed checkpoint, as JSON or text by Accept",
        {200: CheckpointOut}, AUDITORS, media_types=(JSON, audit.TEXT), problems=(404,),
    ),
    Operation(
        "GET", "/api/audit/evidence/{sha256}", audit.read_evidence,
        "The raw message that an event rests on, by the SHA-256 that the event names",
        {200: None}, AUDITORS, media_types=(audit.BYTES,), problems=(404, 422),
    ),
    Operation(
        "GET", "/api/audit/bundle", audit.read_bundle,
        "A zip that proves the whole history offline",
        {200: None}, AUDITORS, media_types=(audit.ZIP,),
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
    Operation("GET", "/openapi.json", health.read_openapi, "This API as OpenAPI 3.1", {200: None}),
)  # fmt: skip
