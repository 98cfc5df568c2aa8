"""Which of the service's operations the clients offer, by which method; a test holds them to it."""

OFFERED: dict[str, str] = {
    "read_session": "session",
    "register_media": "register",
    "list_media": "page",
    "read_media": "media",
    "renew_upload": "renew",
    "abandon_upload": "abandon",
    "complete_upload": "complete",
    "erase_media": "erase",
    "read_history": "history",
    "read_playback": "playback",
    "read_status": "status",
    "read_stream": "stream",
    "retry_transcoding": "retry",
    "read_ledger": "ledger",
    "read_checkpoint": "checkpoint",
    "read_evidence": "evidence",
    "read_bundle": "bundle",
    "livez": "alive",
    "readyz": "ready",
    "read_metrics": "metrics",
    "read_openapi": "description",
}
"""An operation's name, and the clients' method."""

NOT_OFFERED: dict[str, str] = {
    "sign_in": "for local trials in a browser, which gets a cookie",
    "sign_out": "forgets a browser's cookie",
    "play": "players load its URLs, which `playback` gives",
    "worker_webhook": "the worker's alone: it signs what it sends",
    "runpod_webhook": "RunPod's alone",
}
"""An operation's name, and why the clients have no method for it."""
