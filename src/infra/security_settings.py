"""The settings by which the service is kept safe in public."""

import re
from ipaddress import ip_network
from typing import Annotated
from urllib.parse import urlsplit

import limits
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, SecretStr

from domain.quotas import QuotaLimits

OFF = "off"
ANY_PROXY = "*"


def _secret(value: object) -> object:
    if isinstance(value, str) and not value:
        raise ValueError("is empty")
    return value


Secret = Annotated[SecretStr, BeforeValidator(_secret)]


def _origins(value: str) -> str:
    """RFC 6454, 6.2: what a browser sends as `Origin`; no wildcard, which would name everybody."""
    for origin in value.split():
        parts = urlsplit(origin)
        plain = f"{parts.scheme}://{parts.netloc}"
        named = parts.hostname and "*" not in origin and "@" not in origin
        default = {"http": 80, "https": 443}.get(parts.scheme) == parts.port
        if parts.scheme not in {"http", "https"} or not named or default:
            raise ValueError("holds origins such as https://app.example.com, without wildcard")
        if origin != plain.lower():
            raise ValueError(f"{origin} is no origin as browsers send it, which is {plain.lower()}")
    return value


def _proxies(value: str) -> str:
    for each in value.split():
        if each not in {ANY_PROXY, OFF}:
            ip_network(each)
    return value


def _pace(value: str) -> str:
    if value != OFF:
        try:
            limits.parse(value)
        except ValueError:
            raise ValueError(f"is a number per time, such as 600/minute, or {OFF}") from None
    return value


def _store(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().startswith(("redis://", "rediss://")):
        raise ValueError("is a redis:// or rediss:// URL")
    return value


def _types(value: str) -> str:
    if not value.split() or not all(map(_TYPE.fullmatch, value.split())):
        raise ValueError("holds types such as video/mp4 or audio/*")
    return value


_TYPE = re.compile(r"(video|audio)/(\*|[a-z0-9][a-z0-9.+-]*)")
Pace = Annotated[str, AfterValidator(_pace)]
Quota = Annotated[int | None, Field(gt=0)]


class SecuritySettings(BaseModel):
    """Who may ask, how much, how long, and how often."""

    cors_origins: Annotated[str, AfterValidator(_origins)] = Field(
        default="",
        description="Origins of other sites whose pages may call the API with the session cookie,"
        " space-separated.",
    )
    trusted_proxies: Annotated[str, AfterValidator(_proxies)] = Field(
        default="127.0.0.1 ::1",
        description="Addresses or networks whose `X-Forwarded-For` and `-Proto` are believed,"
        " space-separated; `*` for all, `off` for none.",
    )
    max_header_bytes: int = Field(
        default=32_768, ge=8_192, description="Largest head of a request, cookies included."
    )
    head_timeout_s: float = Field(
        default=10.0, gt=0, description="Time for a request's head to arrive whole."
    )
    body_timeout_s: float = Field(
        default=20.0, gt=0, description="Time for a request's body to arrive whole."
    )
    request_timeout_s: float = Field(
        default=60.0, gt=0, description="Time until an answer begins; streams then go on."
    )
    requests_per_process: int = Field(
        default=1_000, gt=0, description="Requests of one process that wait for their answer."
    )
    connections_per_process: int = Field(
        default=2_048, gt=0, description="Connections of one process beside its event streams."
    )
    rate_limits: bool = Field(default=True, description="Whether callers are limited at all.")
    rate_limit_store: Annotated[Secret, AfterValidator(_store)] | None = Field(
        default=None,
        description="`redis://` URL by which all processes count together; each alone without.",
    )
    rate_reads: Pace = Field(default="6000/minute", description="Reads of one user.")
    rate_writes: Pace = Field(default="1200/minute", description="Changes by one user.")
    rate_registrations: Pace = Field(
        default="600/minute", description="Registrations of files by one user."
    )
    rate_sign_ins: Pace = Field(
        default="300/minute", description="Sign-ins, and tokens that are none, of one address."
    )
    rate_webhooks: Pace = Field(
        default="12000/minute", description="Webhooks of one address: RunPod has few."
    )
    rate_anonymous: Pace = Field(
        default="6000/minute",
        description="Everything else that needs no sign-in, of one address: playlists, probes.",
    )
    upload_types: Annotated[str, AfterValidator(_types)] = Field(
        default="video/* audio/*", description="Content types that are taken, space-separated."
    )
    quota_uploading: Quota = Field(
        default=None, description="Files of one creator that have not arrived, at most."
    )
    quota_items_day: Quota = Field(
        default=None, description="Files that one creator may register within 24 hours."
    )
    quota_bytes_day: Quota = Field(
        default=None, description="Bytes that one creator may register within 24 hours."
    )
    quota_items: Quota = Field(default=None, description="Items of one creator in all, at most.")
    quota_bytes: Quota = Field(default=None, description="Bytes of one creator in all, at most.")

    @property
    def quotas(self) -> QuotaLimits:
        """What one creator may upload."""
        names = QuotaLimits._fields
        return QuotaLimits(**{name: getattr(self, f"quota_{name}") for name in names})

    @property
    def allowed_origins(self) -> tuple[str, ...]:
        """The origins of `cors_origins`."""
        return tuple(self.cors_origins.split())

    @property
    def trusted_addresses(self) -> list[str]:
        """The addresses and networks of `trusted_proxies`."""
        return [each for each in self.trusted_proxies.split() if each != OFF]
