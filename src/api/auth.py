"""Who is calling: a JWT (RFC 7519) in `Authorization: Bearer` or in the `session` cookie."""

import asyncio
import logging
from collections.abc import Iterable, Set
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import jwt
from pydantic import SecretStr, TypeAdapter, ValidationError
from starlette.requests import Request

from api.problems import ApiError
from api.verified import Verified
from gpu_worker.contract import CreatorId
from infra.settings import Settings
from infra.settings_observed import STANDARD

log = logging.getLogger(__name__)

COOKIE = "session"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
JWKS_TIMEOUT_S = 5
JWKS_LIFESPAN_S = 300
_CREATOR_ID: TypeAdapter[str] = TypeAdapter(CreatorId)


class Role(StrEnum):
    """What a caller may do."""

    CREATOR = "creator"
    AUDITOR = "auditor"
    ADMIN = "admin"


class Principal(NamedTuple):
    """An authenticated caller."""

    subject: str
    roles: frozenset[Role]
    expires_at: float
    """Unix seconds: when the token ends."""
    tier: str = STANDARD
    """Of the creator, for figures."""

    @property
    def reads_all_history(self) -> bool:
        """Whether other people's history may be read."""
        return bool(self.roles & {Role.AUDITOR, Role.ADMIN})


class Authenticator:
    """Checks tokens against an HS256 secret or a JWKS."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._jwks = (
            jwt.PyJWKClient(settings.jwks_url, lifespan=JWKS_LIFESPAN_S, timeout=JWKS_TIMEOUT_S)
            if settings.jwks_url
            else None
        )
        origins = (settings.public_app_url, *settings.allowed_origins)
        self._origins = frozenset(map(_origin, origins))
        self._verified = Verified[Principal]()

    async def principal(self, request: Request) -> Principal:
        """The caller, or 401; 403 for a cookie request from a foreign origin."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            token = request.cookies.get(COOKIE, "")
            if token:
                self.check_origin(request)
        if not token:
            raise _unauthenticated("Send a token as `Authorization: Bearer …`.")
        token = token.strip()
        if (known := self._verified.find(token)) is not None:
            return known
        caller = _principal(await self._claims(token), self._settings.known_tiers)
        return self._verified.keep(token, caller, caller.expires_at)

    def check_origin(self, request: Request) -> None:
        """403 for a change that comes with a cookie, and from pages that are not of our origins.

        Browsers attach cookies to other sites' requests; a Bearer header nobody attaches unasked.
        """
        if request.method in SAFE_METHODS:
            return
        if _origin(request.headers.get("origin", "")) not in self._origins:
            raise ApiError(403, "foreign_origin", "This request does not come from our own pages.")

    async def _claims(self, token: str) -> dict[str, Any]:
        try:
            key, algorithms = await self._key(token)
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=algorithms,
                audience=self._settings.jwt_audience,
                issuer=self._settings.jwt_issuer,
                options={"require": ["exp", "aud", "iss", "sub"]},
            )
        except jwt.ExpiredSignatureError:
            raise _unauthenticated("The token has expired. Sign in again.") from None
        except jwt.PyJWKClientConnectionError as error:
            log.warning("JWKS: %s", error)
            raise ApiError(503, "unavailable", "Sign-in keys cannot be fetched now.") from None
        except (jwt.PyJWTError, OverflowError):  # an `exp` of 1e999 is a number, and has no end
            raise _unauthenticated("The token is not valid here.") from None
        return claims

    async def _key(self, token: str) -> tuple[Any, list[str]]:
        secret = self._settings.jwt_secret
        if self._jwks is None:
            return (secret.get_secret_value() if secret else ""), ["HS256"]
        # PyJWT fetches keys with blocking I/O; it keeps them for JWKS_LIFESPAN_S.
        try:
            key = await asyncio.to_thread(self._jwks.get_signing_key_from_jwt, token)
        except ValueError as error:
            raise jwt.PyJWKClientConnectionError("the key set is not JSON") from error
        # The whole JWK, which is bound to its own algorithm: the token's header cannot choose.
        return key, ["RS256", "ES256", "EdDSA"]


def _principal(claims: dict[str, Any], tiers: Set[str]) -> Principal:
    try:
        subject = _CREATOR_ID.validate_python(claims["sub"])
        roles = frozenset(Role(role) for role in claims.get("roles", [Role.CREATOR]))
        tier = claims.get("tier")
        known = tier if isinstance(tier, str) and tier in tiers else STANDARD
        return Principal(subject, roles, float(claims["exp"]), known)
    except (ValidationError, ValueError, TypeError, OverflowError):
        told = "The token's `sub`, `roles` or `exp` are not ones we know."
        raise _unauthenticated(told) from None


def sign_token(
    settings: Settings, secret: SecretStr, subject: str, roles: Iterable[Role], life: timedelta
) -> str:
    """A session token of `secret` that this service takes for `life`."""
    now = datetime.now(UTC)
    claims = {
        "sub": subject,
        "roles": [role.value for role in roles],
        "iss": settings.jwt_issuer,
        "aud": settings.jwt_audience,
        "iat": now,
        "exp": now + life,
    }
    return jwt.encode(claims, secret.get_secret_value(), algorithm="HS256")


def _unauthenticated(detail: str) -> ApiError:
    return ApiError(401, "unauthenticated", detail)


def _origin(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", ""
    return parts.scheme, parts.netloc
