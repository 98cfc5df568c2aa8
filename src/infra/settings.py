"""Every setting of the service, parsed once from an environment that is handed in."""

import base64
import re
from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import (
    AfterValidator,
    AnyHttpUrl,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)

from gpu_worker.contract import MOST_ASSISTANTS
from gpu_worker.signature import decode_secret
from infra.addresses import database_on_this_machine, on_this_machine
from infra.security_settings import Secret, SecuritySettings
from infra.settings_observed import ObservedSettings


class SettingsInvalid(Exception):
    """Settings are missing or wrong; the text names each, never a value."""


class CapabilityKey(NamedTuple):
    """A key that signs webhook tokens, and the short id by which a token names it."""

    key_id: str
    secret: bytes


class LedgerKey(NamedTuple):
    """What signs checkpoints: the name they are published under, and a 32-byte Ed25519 seed."""

    name: str
    seed: bytes


def _url(value: object) -> object:
    return str(AnyHttpUrl(value)).rstrip("/") if isinstance(value, str) else value


HttpUrlText = Annotated[str, BeforeValidator(_url)]
NonEmpty = Annotated[str, StringConstraints(min_length=1)]


def _database_url(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().startswith(("postgresql://", "postgres://")):
        raise ValueError("is not a postgresql:// URL")
    return value


def _webhook_secrets(value: SecretStr) -> SecretStr:
    for secret in _words(value):
        decode_secret(secret)
    return value


def _capability_secrets(value: SecretStr) -> SecretStr:
    for pair in _words(value):
        _capability_key(pair)
    return value


def _ledger_secret(value: SecretStr) -> SecretStr:
    _ledger_key(value.get_secret_value())
    return value


def _words(value: SecretStr) -> list[str]:
    words = value.get_secret_value().split()
    if not words:
        raise ValueError("is empty")
    return words


class ServiceSettings(BaseModel):
    """What the service runs on."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    database_url: Annotated[Secret, AfterValidator(_database_url)] = Field(
        description="PostgreSQL, as a `postgresql://` URL."
    )
    r2_endpoint: HttpUrlText = Field(description="S3 API of the bucket's provider.")
    r2_bucket: NonEmpty = Field(default="codex-media", description="The bucket.")
    r2_access_key_id: NonEmpty = Field(description="Key id for the bucket.")
    r2_secret_access_key: Secret = Field(description="Secret key for the bucket.")
    r2_region: NonEmpty = Field(default="auto", description="Region; R2 calls it `auto`.")
    runpod_base_url: HttpUrlText = Field(
        default="https://api.runpod.ai", description="RunPod's API, without `/v2`."
    )
    runpod_endpoint_id: NonEmpty = Field(description="The Serverless endpoint that runs our image.")
    runpod_api_key: Secret = Field(description="RunPod API key.")
    public_app_url: HttpUrlText = Field(description="This service as RunPod and browsers reach it.")
    webhook_secrets: Annotated[Secret, AfterValidator(_webhook_secrets)] = Field(
        description="`whsec_…` secrets of worker callbacks, space-separated, newest first."
    )
    capability_secrets: Annotated[Secret, AfterValidator(_capability_secrets)] = Field(
        description="`id:base64` keys of tokens in URLs, space-separated, newest first."
    )
    ledger_key: Annotated[Secret, AfterValidator(_ledger_secret)] = Field(
        description="`name:base64`, the 32-byte Ed25519 seed that signs the ledger's checkpoints."
    )
    ledger_checkpoint_events: int = Field(
        default=256, gt=0, description="A checkpoint is signed once so many events wait for one."
    )
    ledger_checkpoint_s: float = Field(
        default=1.0, ge=0, description="And at the latest so long after the one before."
    )
    jwt_secret: Secret | None = Field(default=None, description="HS256 secret of sessions.")
    jwks_url: HttpUrlText | None = Field(default=None, description="Keys of sessions, instead.")
    jwt_issuer: NonEmpty = Field(default="codex-media", description="Required `iss`.")
    jwt_audience: NonEmpty = Field(default="codex-media", description="Required `aud`.")
    max_upload_bytes: int = Field(
        default=5 * 1024**3, gt=0, le=5 * 1024**4, description="Largest file."
    )
    multipart_threshold_bytes: int = Field(
        default=64 * 1024**2,
        ge=0,
        le=5 * 1024**3,
        description="Files beyond it are sent in parts; a single PUT takes 5 GiB.",
    )
    multipart_part_bytes: int = Field(
        default=16 * 1024**2,
        ge=5 * 1024**2,
        le=5 * 1024**3,
        description="Least size of a part; larger where a file would have more than 1,000.",
    )
    upload_window_s: int = Field(default=86_400, gt=0, description="Time for an upload to arrive.")
    upload_url_ttl_s: int = Field(
        default=3_600, gt=0, le=604_800, description="Life of a presigned upload URL."
    )
    playback_url_ttl_s: int = Field(
        default=14_400, gt=0, le=604_800, description="Life of playback URLs."
    )
    public_media_url: HttpUrlText | None = Field(
        default=None,
        description="Where anybody can read the bucket's objects, such as a CDN: playback URLs lead"
        " there, unsigned.",
    )
    public_media: Literal["all", "preview"] = Field(
        default="all", description="What lies open there: everything, or the previews alone."
    )
    execution_timeout_s: int = Field(
        default=7_200, ge=5, description="Longest run of one job (RunPod's executionTimeout)."
    )
    transcoding_window_s: int = Field(
        default=21_600, gt=0, description="Longest attempt, waiting in queues included."
    )
    poll_first_s: float = Field(
        default=15.0, gt=0, description="First poll of a job this long after it was accepted."
    )
    poll_last_s: float = Field(
        default=120.0, gt=0, description="Polls of a job grow to be this far apart."
    )
    unknown_wait_s: float = Field(
        default=120.0, gt=0, description="Wait for a sign of a job whose `/run` was not answered."
    )
    lease_s: float = Field(
        default=60.0, ge=1, description="Work that a dead process held is taken up again after it."
    )
    claim_life_s: float = Field(
        default=90.0,
        gt=0,
        description="A worker's claim not renewed so long is nobody's; workers drop it after 60.",
    )
    chunk_assistants: int = Field(
        default=0,
        ge=0,
        le=MOST_ASSISTANTS,
        description="Further jobs that make chunks of one long film, at most.",
    )
    retain_media_days: int | None = Field(
        default=None, gt=0, description="Items are erased so long after their registration."
    )
    retain_failed_days: int | None = Field(
        default=None, gt=0, description="Failed items are erased so long after they failed."
    )
    database_connections: int = Field(default=10, gt=1, description="Pool size of a process.")
    webhook_connections: int = Field(
        default=4, gt=0, description="Beside those, kept for webhooks and `/readyz`."
    )
    streams_per_creator: int = Field(
        default=20, gt=0, description="Event streams of one creator at once, of one process."
    )
    streams_per_process: int = Field(
        default=2_000, gt=0, description="Event streams of one process at once."
    )
    demo_sign_in: bool = Field(
        default=False,
        description="Let anybody sign in as anybody. Only where every address is this machine's.",
    )
    log_level: NonEmpty = Field(default="INFO", description="Least level that is logged.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.jwt_secret is None) == (self.jwks_url is None):
            raise ValueError("set either JWT_SECRET or JWKS_URL")
        if self.jwt_secret and len(self.jwt_secret.get_secret_value().encode()) < 32:
            raise ValueError("JWT_SECRET needs at least 32 bytes (RFC 7518, 3.2)")
        if self.execution_timeout_s > self.transcoding_window_s:
            raise ValueError("EXECUTION_TIMEOUT_S exceeds TRANSCODING_WINDOW_S")
        if self.demo_sign_in and (elsewhere := self._not_of_this_machine()):
            raise ValueError(
                "DEMO_SIGN_IN lets anybody in and is for trying out on one machine. "
                f"Leave it out: {', '.join(elsewhere)} are not of such a trial"
            )
        return self

    def _not_of_this_machine(self) -> list[str]:
        """Settings that only a service has that others depend on."""
        addresses = {
            "PUBLIC_APP_URL": self.public_app_url,
            "R2_ENDPOINT": self.r2_endpoint,
            "RUNPOD_BASE_URL": self.runpod_base_url,
        }
        found = [name for name, url in addresses.items() if not on_this_machine(url)]
        if not database_on_this_machine(self.database_url.get_secret_value()):
            found.append("DATABASE_URL")
        return [*found, "JWKS_URL"] if self.jwks_url else found

    @property
    def webhook_keys(self) -> tuple[str, ...]:
        """The secrets of worker callbacks, newest first."""
        return tuple(_words(self.webhook_secrets))

    @property
    def capability_keys(self) -> tuple[CapabilityKey, ...]:
        """The keys of tokens, newest first. The first signs, all verify."""
        return tuple(_capability_key(pair) for pair in _words(self.capability_secrets))

    @property
    def ledger_signer(self) -> LedgerKey:
        """The key of the ledger's checkpoints."""
        return _ledger_key(self.ledger_key.get_secret_value())


class Settings(SecuritySettings, ObservedSettings, ServiceSettings):
    """The service's settings; each field's environment variable is its name in upper case.

    Times are in seconds, sizes in bytes.
    """

    @model_validator(mode="after")
    def _other_origins_are_as_safe(self) -> Self:
        plain = [
            origin
            for origin in self.allowed_origins
            if origin.startswith("http:") and not on_this_machine(origin)
        ]
        if plain and self.public_app_url.startswith("https:"):
            raise ValueError(f"CORS_ORIGINS: pages of {plain[0]} come unencrypted; use https")
        return self


LEDGER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9./_-]{0,99}")
"""What a signed note takes for a key's name, and a little less."""


def _ledger_key(text: str) -> LedgerKey:
    name, _, encoded = text.partition(":")
    try:
        seed = base64.b64decode(encoded, validate=True)
    except ValueError:  # binascii.Error among them
        seed = b""
    if not LEDGER_NAME.fullmatch(name) or len(seed) != 32:
        raise ValueError("is name:base64 of exactly 32 random bytes")
    return LedgerKey(name, seed)


def _capability_key(text: str) -> CapabilityKey:
    key_id, _, encoded = text.partition(":")
    try:
        secret = base64.b64decode(encoded, validate=True)
    except ValueError:  # binascii.Error among them
        secret = b""
    if not key_id.isalnum() or len(secret) < 32:
        raise ValueError("holds id:base64 pairs of at least 32 random bytes")
    return CapabilityKey(key_id, secret)


def load(environ: Mapping[str, str]) -> Settings:
    """The settings in `environ`; `SettingsInvalid` names every one that is missing or wrong."""
    given = {
        name: environ[name.upper()] for name in Settings.model_fields if environ.get(name.upper())
    }
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in each['loc']).upper() or 'settings'}: {each['msg']}"
            for each in error.errors(include_input=False, include_url=False)
        ]
        raise SettingsInvalid("\n".join(problems)) from None
