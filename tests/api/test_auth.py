"""Who is let in: tokens that are ours, from places that are ours."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from infra.settings import Settings
from tests.api.studio import VIDEO, Studio
from tests.conftest import PUBLIC_URL

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATH = "/api/media"


def claims(settings: Settings, **changed: Any) -> dict[str, Any]:
    """Claims we accept, with some changed; None leaves one out."""
    now = datetime.now(UTC)
    good = {
        "sub": "alice",
        "roles": ["creator"],
        "iss": settings.jwt_issuer,
        "aud": settings.jwt_audience,
        "iat": now,
        "exp": now + timedelta(minutes=5),
    }
    return {name: value for name, value in (good | changed).items() if value is not None}


def signed(settings: Settings, **changed: Any) -> str:
    """A token signed with our secret."""
    assert settings.jwt_secret is not None
    key = settings.jwt_secret.get_secret_value()
    return jwt.encode(claims(settings, **changed), key, algorithm="HS256")


async def call(studio: Studio, token: str) -> httpx.Response:
    """The list, as the bearer of `token`."""
    headers = {"authorization": f"Bearer {token}"}
    return await studio.service.http.get(PATH, headers=headers)


def unauthenticated(answer: httpx.Response) -> None:
    """The answer is 401 and says how to sign in."""
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_good_token_is_let_in(studio: Studio) -> None:
    assert (await call(studio, signed(studio.service.settings))).status_code == 200


@pytest.mark.parametrize("aud", [["other", "codex-media"], "codex-media"])
async def test_our_audience_may_be_one_of_several(studio: Studio, aud: object) -> None:
    assert (await call(studio, signed(studio.service.settings, aud=aud))).status_code == 200


LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
REFUSED: dict[str, dict[str, Any]] = {
    "expired": {"exp": LONG_AGO},
    "without exp": {"exp": None},
    "exp is text": {"exp": "tomorrow"},
    "not valid yet": {"nbf": datetime(2100, 1, 1, tzinfo=UTC)},
    "issued in the future": {"iat": datetime(2100, 1, 1, tzinfo=UTC)},
    "for others": {"aud": "other"},
    "without aud": {"aud": None},
    "by others": {"iss": "other"},
    "without iss": {"iss": None},
    "without sub": {"sub": None},
    "sub is a path": {"sub": "../bob"},
    "sub has a dot": {"sub": "bob.example"},
    "sub is empty": {"sub": ""},
    "sub is too long": {"sub": "b" * 65},
    "sub ends in a newline": {"sub": "bob\n"},
    "unknown role": {"roles": ["creator", "owner"]},
    "roles is text": {"roles": "creator"},
    "roles is a number": {"roles": 7},
    "roles are lists": {"roles": [["creator"]]},
}


@pytest.mark.parametrize("changed", REFUSED.values(), ids=REFUSED)
async def test_claims_we_do_not_accept_are_401(studio: Studio, changed: dict[str, Any]) -> None:
    unauthenticated(await call(studio, signed(studio.service.settings, **changed)))


async def test_a_token_of_another_secret_is_401(studio: Studio) -> None:
    forged = jwt.encode(claims(studio.service.settings), "x" * 32, algorithm="HS256")

    unauthenticated(await call(studio, forged))


async def test_a_token_with_changed_claims_is_401(studio: Studio) -> None:
    header, _, mac = signed(studio.service.settings).split(".")
    other = signed(studio.service.settings, sub="bob").split(".")[1]

    unauthenticated(await call(studio, f"{header}.{other}.{mac}"))


async def test_an_unsigned_token_is_401(studio: Studio) -> None:
    unsigned = jwt.encode(claims(studio.service.settings), "", algorithm="none")

    unauthenticated(await call(studio, unsigned))


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
async def test_another_algorithm_with_our_secret_is_401(studio: Studio, algorithm: str) -> None:
    settings = studio.service.settings
    assert settings.jwt_secret is not None
    key = settings.jwt_secret.get_secret_value().ljust(64, "=")

    unauthenticated(await call(studio, jwt.encode(claims(settings), key, algorithm=algorithm)))


async def test_an_rsa_token_is_401_where_a_secret_is_in_use(studio: Studio) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    unauthenticated(
        await call(studio, jwt.encode(claims(studio.service.settings), key, algorithm="RS256"))
    )


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic YWxpY2U6", "Bearer a.b.c", "Bearer ...", "Bearer \xe9"],
)
async def test_what_is_no_token_is_401(studio: Studio, header: str) -> None:
    raw = {"authorization": header.encode("latin-1")}

    unauthenticated(await studio.service.http.get(PATH, headers=raw))


async def test_no_token_is_401(studio: Studio) -> None:
    unauthenticated(await studio.service.http.get(PATH))


async def with_cookie(studio: Studio, method: str, **headers: str) -> httpx.Response:
    """A call as a browser makes it, signed in by cookie."""
    cookie = studio.auth()["authorization"].removeprefix("Bearer ")
    body = VIDEO.request() if method == "POST" else None
    sent = {"cookie": f"session={cookie}"} | headers
    return await studio.service.http.request(method, PATH, json=body, headers=sent)


async def test_the_cookie_signs_in(studio: Studio) -> None:
    assert (await with_cookie(studio, "GET")).status_code == 200
    assert (await with_cookie(studio, "GET", origin="https://evil.test")).status_code == 200
    assert (await with_cookie(studio, "POST", origin=PUBLIC_URL)).status_code == 201


FOREIGN_ORIGINS = {
    "none": {},
    "empty": {"origin": ""},
    "opaque": {"origin": "null"},
    "other host": {"origin": "https://evil.test"},
    "other scheme": {"origin": PUBLIC_URL.replace("http:", "https:")},
    "other port": {"origin": f"{PUBLIC_URL}:8080"},
    "ours as a prefix": {"origin": f"{PUBLIC_URL}.evil.test"},
    "ours as a user name": {"origin": f"{PUBLIC_URL}@evil.test"},
    "no URL at all": {"origin": "http://["},
}


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS.values(), ids=FOREIGN_ORIGINS)
async def test_a_cookie_changes_nothing_from_other_origins(
    studio: Studio, origin: dict[str, str]
) -> None:
    answer = await with_cookie(studio, "POST", **origin)

    assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin")
    assert (await studio.get(PATH)).json()["items"] == []


async def test_a_bearer_needs_no_origin(studio: Studio) -> None:
    assert (await studio.post(PATH, VIDEO.request())).status_code == 201


async def test_a_bad_cookie_is_401(studio: Studio) -> None:
    answer = await studio.service.http.get(PATH, headers={"cookie": "session=a.b.c"})

    unauthenticated(answer)


async def test_a_bearer_goes_before_the_cookie(studio: Studio) -> None:
    answer = await with_cookie(studio, "GET", authorization="Bearer a.b.c")

    unauthenticated(answer)


async def test_our_mac_under_a_header_of_rs256_is_401(studio: Studio) -> None:
    header = base64.urlsafe_b64encode(json.dumps({"alg": "RS256", "typ": "JWT"}).encode())
    _, payload, mac = signed(studio.service.settings).split(".")

    unauthenticated(await call(studio, f"{header.decode().rstrip('=')}.{payload}.{mac}"))
