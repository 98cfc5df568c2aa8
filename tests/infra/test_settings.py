"""Settings: what is missing or wrong is named at once, and no secret is ever shown."""

from base64 import b64encode

import pytest

from infra.settings import CapabilityKey, Settings, SettingsInvalid, load
from tests.infra.variables import CAPABILITY_SECRET, ENVIRON, SECRETS, WEBHOOK_SECRET

REQUIRED = sorted(
    name.upper() for name, field in Settings.model_fields.items() if field.is_required()
)
SHORT = b64encode(b"s" * 20).decode()
WRONG = {
    "DATABASE_URL": ("mysql://codex:sesame@db/codex", "nonsense"),
    "R2_ENDPOINT": ("account.r2.test", "ftp://account.r2.test"),
    "RUNPOD_BASE_URL": ("runpod",),
    "PUBLIC_APP_URL": ("http://", "javascript:alert(1)"),
    "JWKS_URL": ("file:///etc/passwd",),
    "WEBHOOK_SECRETS": ("sesame", f"whsec_{SHORT}", f"{WEBHOOK_SECRET} whsec_sesame", "  "),
    "CAPABILITY_SECRETS": ("sesame", f"k1:{SHORT}", f"{CAPABILITY_SECRET} k2", f":{'A' * 44}", " "),
    "JWT_SECRET": ("sesame-too-short",),
    "LEDGER_KEY": (
        "sesame",
        f"ledger:{SHORT}",
        f"led ger:{'A' * 43}=",
        f"led+ger:{'A' * 43}=",
        f":{'A' * 43}=",
    ),
    "LEDGER_CHECKPOINT_EVENTS": ("0",),
    "LEDGER_CHECKPOINT_S": ("-1",),
    "MAX_UPLOAD_BYTES": ("0", str(5 * 1024**4 + 1), "much"),
    "UPLOAD_WINDOW_S": ("0", "-1", "1.5"),
    "UPLOAD_URL_TTL_S": ("604801",),
    "PLAYBACK_URL_TTL_S": ("0",),
    "EXECUTION_TIMEOUT_S": ("4", "30000"),
    "TRANSCODING_WINDOW_S": ("0", "60"),
    "DATABASE_CONNECTIONS": ("1",),
}


def refused(environ: dict[str, str]) -> str:
    """What is said of an environment that cannot be used."""
    with pytest.raises(SettingsInvalid) as refusal:
        load(environ)
    return str(refusal.value)


def test_every_missing_variable_is_named_at_once() -> None:
    said = refused({}).splitlines()
    assert [line.split(":")[0] for line in said] == [
        name.upper() for name, field in Settings.model_fields.items() if field.is_required()
    ]


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("empty", [False, True], ids=["absent", "empty"])
def test_required_variable_is_named_when_it_is_missing(name: str, empty: bool) -> None:
    environ = {key: value for key, value in ENVIRON.items() if key != name}
    assert refused(environ | ({name: ""} if empty else {})).startswith(name)


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_wrong_variable_is_named_without_any_secret(name: str, value: str) -> None:
    environ = ENVIRON | {name: value}
    if name == "JWKS_URL":
        del environ["JWT_SECRET"]
    said = refused(environ)
    assert name in said
    assert "sesame" not in said
    assert SHORT not in said
    assert not any(secret in said for secret in SECRETS.values())


def test_all_wrong_secrets_are_named_together() -> None:
    said = refused(ENVIRON | {"WEBHOOK_SECRETS": "x", "CAPABILITY_SECRETS": "x", "R2_ENDPOINT": ""})
    assert "WEBHOOK_SECRETS" in said
    assert "CAPABILITY_SECRETS" in said
    assert "R2_ENDPOINT" in said


@pytest.mark.parametrize("both", [True, False])
def test_sessions_have_one_kind_of_key(both: bool) -> None:
    environ = dict(ENVIRON)
    if both:
        environ["JWKS_URL"] = "https://keys.test/jwks.json"
    else:
        del environ["JWT_SECRET"]
    said = refused(environ)
    assert "JWT_SECRET" in said
    assert "JWKS_URL" in said


def test_least_environment_gets_the_defaults() -> None:
    found = load(ENVIRON)
    assert found.r2_bucket == "codex-media"
    assert found.r2_region == "auto"
    assert found.runpod_base_url == "https://api.runpod.ai"
    assert found.jwt_issuer == found.jwt_audience == "codex-media"
    assert found.max_upload_bytes == 5 * 1024**3
    assert (found.upload_window_s, found.upload_url_ttl_s) == (86_400, 3_600)
    assert (found.execution_timeout_s, found.transcoding_window_s) == (7_200, 21_600)


def test_empty_optional_variable_is_its_default() -> None:
    assert load(ENVIRON | {"R2_BUCKET": "", "RUNPOD_BASE_URL": ""}) == load(ENVIRON)


def test_url_is_kept_without_its_last_slash() -> None:
    found = load(ENVIRON | {"PUBLIC_APP_URL": "https://media.test/studio/"})
    assert found.public_app_url == "https://media.test/studio"


def test_several_keys_are_read_newest_first() -> None:
    other = "whsec_" + b64encode(b"o" * 24).decode()
    found = load(
        ENVIRON
        | {
            "WEBHOOK_SECRETS": f"{other}  {WEBHOOK_SECRET}",
            "CAPABILITY_SECRETS": f"k2:{b64encode(b'd' * 32).decode()} {CAPABILITY_SECRET}",
        }
    )
    assert found.webhook_keys == (other, WEBHOOK_SECRET)
    assert found.capability_keys == (
        CapabilityKey("k2", b"d" * 32),
        CapabilityKey("k1", b"c" * 32),
    )


def test_neither_repr_nor_text_nor_dump_shows_a_secret() -> None:
    found = load(ENVIRON)
    for text in (repr(found), str(found), found.model_dump_json(), repr(found.model_dump())):
        assert not any(secret in text for secret in SECRETS.values())


def test_other_variables_are_ignored() -> None:
    assert load(ENVIRON | {"PATH": "/bin", "jwt_issuer": "somebody"}) == load(ENVIRON)
