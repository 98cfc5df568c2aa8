"""Tokens: whoever is let in was signed for; everybody else is answered 401, whatever they send."""

import asyncio
import json
import string
import time
from typing import Any
from urllib.parse import quote

import jwt
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.requests import Request

from api.auth import Authenticator, Principal, Role
from api.problems import ApiError
from infra.capability import Capability, CapabilityRefused, mint, verify
from infra.settings import load
from tests.fuzz.shapes import damaged, few, values
from tests.infra.variables import ENVIRON

SETTINGS = load(ENVIRON)
SECRET = ENVIRON["JWT_SECRET"]
AUTHENTICATOR = Authenticator(SETTINGS)
NOW = time.time()
CLAIMS: dict[str, Any] = {
    "sub": "alice",
    "roles": ["creator"],
    "iss": SETTINGS.jwt_issuer,
    "aud": SETTINGS.jwt_audience,
    "iat": int(NOW),
    "exp": int(NOW) + 86_400,
}
HEADER: dict[str, Any] = {"alg": "HS256", "typ": "JWT"}


def presented(token: str, *, cookie: bool = False) -> Principal | ApiError:
    """Who the service takes the bearer for."""
    value = f"session={quote(token)}" if cookie else f"Bearer {token}"
    name = b"cookie" if cookie else b"authorization"
    headers = [(name, value.encode("utf-8", "surrogatepass"))]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
    try:
        return asyncio.run(AUTHENTICATOR.principal(Request(scope)))
    except ApiError as refused:
        assert (refused.status, refused.code) == (401, "unauthenticated")
        return refused


def signed(claims: Any) -> str:
    """A token of ours that says so, whatever it is."""
    body = json.dumps(claims).encode()
    return jwt.api_jws.encode(body, SECRET, algorithm="HS256")


@few
@given(
    st.text(max_size=200)
    | st.lists(st.text(string.ascii_letters + "-_="), max_size=4).map(".".join)
)
def test_any_text_as_a_token_is_refused(text: str) -> None:
    assert isinstance(presented(text), ApiError)
    assert isinstance(presented(text, cookie=True), ApiError)


@few
@given(damaged(CLAIMS) | values)
@example(CLAIMS | {"exp": float("inf")})
@example(CLAIMS | {"exp": 10**400})
@example(CLAIMS | {"nbf": float("nan")})
@example(CLAIMS | {"sub": "../bob"})
@example(CLAIMS | {"roles": [["creator"]]})
def test_signed_claims_are_taken_as_they_must_be_or_refused(claims: Any) -> None:
    found = presented(signed(claims))

    if isinstance(found, Principal):
        assert found.subject == claims["sub"]
        assert found.roles == {Role(role) for role in claims.get("roles", ["creator"])}
        assert found.expires_at > NOW
        assert claims["iss"] == SETTINGS.jwt_issuer


@few
@given(damaged(HEADER), st.binary(max_size=40))
def test_a_header_or_signature_of_ones_own_is_refused(header: Any, signature: bytes) -> None:
    _, claims, ours = signed(CLAIMS).split(".")
    own = jwt.utils.base64url_encode(json.dumps(header).encode()).decode()
    forged = jwt.utils.base64url_encode(signature).decode()

    assert isinstance(presented(f"{own}.{claims}.{forged}"), ApiError)
    if header != HEADER:
        assert isinstance(presented(f"{own}.{claims}.{ours}"), ApiError)


def test_the_claims_as_they_are_are_let_in() -> None:
    assert presented(signed(CLAIMS)) == Principal("alice", frozenset({Role.CREATOR}), CLAIMS["exp"])


KEYS = SETTINGS.capability_keys


@few
@given(
    st.uuids(), st.integers(1, 9), st.integers(0, 2**40), st.integers(0, 200), st.text(max_size=3)
)
def test_a_capability_is_what_was_minted_or_refused(
    media_id: Any, attempt: int, expires_s: int, place: int, more: str
) -> None:
    minted = mint(KEYS[0], Capability("play", media_id, attempt, expires_s))
    altered = minted[:place] + more + minted[place + len(more) :]
    try:
        found = verify(KEYS, altered, "play", 0)
    except CapabilityRefused:
        assert altered != minted or expires_s <= 0
    else:
        assert (altered, found) == (minted, Capability("play", media_id, attempt, expires_s))
