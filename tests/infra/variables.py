"""A complete, valid environment that names no running part."""

from base64 import b64encode

WEBHOOK_SECRET = "whsec_" + b64encode(b"w" * 32).decode()
CAPABILITY_SECRET = "k1:" + b64encode(b"c" * 32).decode()
LEDGER_KEY = "codex-media-test:" + b64encode(b"l" * 32).decode()

SECRETS = {
    "DATABASE_URL": "postgresql://codex:sesame-database@db.test/codex",
    "R2_SECRET_ACCESS_KEY": "sesame-bucket",
    "RUNPOD_API_KEY": "rpa_sesame",
    "WEBHOOK_SECRETS": WEBHOOK_SECRET,
    "CAPABILITY_SECRETS": CAPABILITY_SECRET,
    "LEDGER_KEY": LEDGER_KEY,
    "JWT_SECRET": "sesame-session-" + "j" * 32,
}

ENVIRON = SECRETS | {
    "R2_ENDPOINT": "https://account.r2.test",
    "R2_ACCESS_KEY_ID": "key-id",
    "RUNPOD_ENDPOINT_ID": "endpoint",
    "PUBLIC_APP_URL": "https://media.test",
}
