"""Tokens of an identity provider, whose keys are fetched over HTTP."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from api.app import create_app
from infra.bootstrap import open_services
from infra.embedded.ports import free_port
from infra.settings import Settings
from tests.api.service import Service, client
from tests.api.test_auth import claims, unauthenticated

pytestmark = pytest.mark.asyncio(loop_scope="session")

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def _key_set() -> bytes:
    keys = [
        RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True) | {"kid": "rsa", "use": "sig"},
        ECAlgorithm.to_jwk(EC_KEY.public_key(), as_dict=True) | {"kid": "ec", "use": "sig"},
    ]
    return json.dumps({"keys": keys}).encode()


class Provider(ThreadingHTTPServer):
    """Serves `body` as the key set and counts who asks."""

    body = _key_set()
    asked = 0


class _Handler(BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self) -> None:
        self.server.asked += 1
        self.send_response(200)
        self.send_header("content-length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


@pytest.fixture
def provider() -> Iterator[Provider]:
    """An identity provider."""
    with Provider(("127.0.0.1", 0), _Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def trusting(shared_settings: Settings, provider: Provider) -> Settings:
    """Settings that trust the provider."""
    url = f"http://127.0.0.1:{provider.server_port}/keys"
    return shared_settings.model_copy(update={"jwt_secret": None, "jwks_url": url})


async def call(settings: Settings, *tokens: str) -> list[httpx.Response]:
    """The list as the bearer of each token in turn, from a service of its own."""
    app = create_app(settings, open_services(settings))
    async with app.router.lifespan_context(app), client(app, settings) as http:
        return [
            await http.get("/api/media", headers={"authorization": f"Bearer {token}"})
            for token in tokens
        ]


def signed(settings: Settings, key: Any, algorithm: str, kid: str | None) -> str:
    """A token with a key id."""
    return jwt.encode(claims(settings), key, algorithm, headers={"kid": kid} if kid else None)


async def test_tokens_of_the_providers_keys_are_let_in_and_keys_are_kept(
    trusting: Settings, provider: Provider, service: Service
) -> None:
    rsa_token = signed(trusting, RSA_KEY, "RS256", "rsa")
    ec_token = signed(trusting, EC_KEY, "ES256", "ec")

    answers = await call(trusting, rsa_token, ec_token, rsa_token)

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert provider.asked == 1


async def test_a_public_key_used_as_a_secret_is_401(trusting: Settings, service: Service) -> None:
    """The RS256/HS256 confusion: PyJWT will not sign so, hence by hand."""
    pem = RSA_KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    head = signed(trusting, "x" * 32, "HS256", "rsa").rpartition(".")[0]
    mac = hmac.new(pem, head.encode(), hashlib.sha256).digest()
    forged = f"{head}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"

    for answer in await call(trusting, forged):
        unauthenticated(answer)


async def test_tokens_that_the_provider_did_not_sign_are_401(
    trusting: Settings, service: Service
) -> None:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    forged = [
        signed(trusting, stranger, "RS256", "rsa"),
        signed(trusting, RSA_KEY, "RS256", "unknown"),
        signed(trusting, RSA_KEY, "RS256", None),
        signed(trusting, RSA_KEY, "RS512", "rsa"),
        signed(trusting, RSA_KEY, "PS256", "rsa"),
        signed(trusting, EC_KEY, "ES256", "rsa"),
        signed(trusting, RSA_KEY, "RS256", "ec"),
        signed(trusting, "x" * 32, "HS256", "rsa"),
        signed(trusting, "", "none", "rsa"),
        "a.b.c",
    ]

    for answer in await call(trusting, *forged):
        unauthenticated(answer)


async def test_a_provider_that_is_away_is_503(shared_settings: Settings, service: Service) -> None:
    url = f"http://127.0.0.1:{free_port()}/keys"
    away = shared_settings.model_copy(update={"jwt_secret": None, "jwks_url": url})

    (answer,) = await call(away, signed(away, RSA_KEY, "RS256", "rsa"))

    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"keys": []}', b"\xff"])
async def test_a_provider_that_answers_nonsense_lets_nobody_in(
    trusting: Settings, provider: Provider, service: Service, body: bytes
) -> None:
    provider.body = body

    (answer,) = await call(trusting, signed(trusting, RSA_KEY, "RS256", "rsa"))

    assert answer.status_code in {401, 503}  # 401 where the answer is JSON without a fitting key
