"""Signing in as anybody: on one machine alone, and only when it is switched on."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from api.cli import server
from infra.settings import Settings, SettingsInvalid, load
from tests.api.service import Service, running
from tests.api.studio import Studio
from tests.infra.variables import ENVIRON

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATH = "/api/session"
HERE = "http://127.0.0.1:7999"
LOCAL = {
    "PUBLIC_APP_URL": HERE,
    "R2_ENDPOINT": "http://127.0.0.1:9000",
    "RUNPOD_BASE_URL": "http://localhost:9001",
    "DATABASE_URL": "postgresql://codex@/codex?host=/run/here",
    "DEMO_SIGN_IN": "true",
}
ELSEWHERE = {
    "PUBLIC_APP_URL": (
        "https://media.test",
        "http://media.test",
        "https://127.0.0.1",
        "http://10.0.0.1",
    ),
    "R2_ENDPOINT": ("https://account.r2.test", "http://127.0.0.1.evil.test"),
    "RUNPOD_BASE_URL": ("https://api.runpod.ai", ""),
    "DATABASE_URL": (
        "postgresql://codex@db.test/codex",
        "postgresql://codex@/codex",
        "postgresql://codex@127.0.0.1,db.test/codex",
        "postgresql://codex@localhost/codex?host=db.test",
    ),
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def demo(shared_settings: Settings) -> AsyncIterator[Service]:
    """The tests' service, with the sign-in of a local trial."""
    changed = {"public_app_url": HERE, "demo_sign_in": True}
    async with running(shared_settings.model_copy(update=changed)) as started:
        yield started


async def sign_in(demo: Service, origin: str = HERE, **body: object) -> httpx.Response:
    """Sign in as a page at `origin` would."""
    demo.http.cookies.clear()
    return await demo.http.post(PATH, json=body, headers={"origin": origin})


async def test_anybody_signs_in_as_anybody_and_out_again(demo: Service) -> None:
    answer = await sign_in(demo, creator="creator-1", roles=["creator", "auditor"])
    assert answer.json() == {"subject": "creator-1", "roles": ["auditor", "creator"]}
    cookie = answer.headers["set-cookie"].lower()
    assert all(word in cookie for word in ("httponly", "samesite=lax", "path=/"))
    assert (await demo.http.get(PATH)).json() == answer.json()
    assert (await demo.http.get("/api/media")).json()["items"] == []
    assert (await demo.http.delete(PATH, headers={"origin": HERE})).status_code == 204
    assert (await demo.http.get(PATH)).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"creator": "../bob"},
        {"creator": "bob", "roles": ["owner"]},
        {"creator": "b", "roles": []},
    ],
)
async def test_nobody_signs_in_as_what_no_token_may_name(
    demo: Service, body: dict[str, object]
) -> None:
    assert (await sign_in(demo, **body)).status_code == 422


async def test_a_page_of_another_site_signs_nobody_in(demo: Service) -> None:
    answer = await sign_in(demo, "http://evil.test:7999", creator="creator-1")
    assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin")
    assert "set-cookie" not in answer.headers


async def test_without_the_setting_there_is_no_sign_in(studio: Studio) -> None:
    answer = await studio.post(PATH, {"creator": "creator-1"})
    assert answer.status_code == 405
    assert "POST" not in answer.headers["allow"]
    assert "post" not in (await studio.get("/openapi.json")).json()["paths"][PATH]
    assert (await studio.get(PATH)).json() == {"subject": studio.creator, "roles": ["creator"]}


async def test_everything_on_one_machine_may_switch_it_on() -> None:
    assert load(ENVIRON | LOCAL).demo_sign_in


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in ELSEWHERE.items() for value in values]
)
async def test_one_production_setting_keeps_it_off(name: str, value: str) -> None:
    with pytest.raises(SettingsInvalid, match=f"DEMO_SIGN_IN.*{name}"):
        load(ENVIRON | LOCAL | {name: value})


async def test_keys_of_an_identity_provider_keep_it_off() -> None:
    environ = ENVIRON | LOCAL | {"JWKS_URL": "http://127.0.0.1:9002/keys"}
    del environ["JWT_SECRET"]
    with pytest.raises(SettingsInvalid, match=r"DEMO_SIGN_IN.*JWKS_URL"):
        load(environ)


async def test_it_is_never_offered_to_other_machines() -> None:
    with pytest.raises(SettingsInvalid, match="--host"):
        server.serve(load(ENVIRON | LOCAL), "0.0.0.0", 8000)  # noqa: S104 - that is the point
