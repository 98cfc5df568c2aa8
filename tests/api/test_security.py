"""What every answer carries, who may call from another site, and how long anything may take."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import httpx
import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from api.operations import limited_body
from api.problems import HANDLERS
from api.security import HEADERS, secured
from infra.settings import Settings, SettingsInvalid, load
from tests.api.again import surrounded
from tests.api.service import Service
from tests.api.studio import VIDEO, Studio
from tests.conftest import PUBLIC_URL
from tests.infra.variables import ENVIRON

pytestmark = pytest.mark.asyncio(loop_scope="session")

OUR_PAGES = "https://app.example.com"


async def missing(answer: httpx.Response) -> set[str]:
    """Which of the headers that every answer has this one lacks."""
    return {name.decode() for name, _ in HEADERS} - set(answer.headers)


async def page(studio: Studio, path: str) -> httpx.Response:
    """One of the console's files, which no operation describes."""
    transport = httpx.ASGITransport(studio.service.app)
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
        return await http.get(path)


async def test_every_kind_of_answer_has_the_headers(studio: Studio) -> None:
    media_id = (await studio.register()).media.id
    status = await studio.get(f"/api/transcoding/status/{media_id}")
    answers = [
        status,
        await studio.get(
            f"/api/transcoding/status/{media_id}", if_none_match=status.headers["etag"]
        ),
        await studio.get("/nothing"),
        await studio.service.http.get("/api/media"),
        await studio.service.http.put("/livez"),
        await page(studio, "/"),
        await page(studio, "/console/js/console.js"),
        await studio.get("/api/media?limit=0"),
    ]
    assert [each.status_code for each in answers] == [200, 304, 404, 401, 405, 200, 200, 422]
    for each in answers:
        assert not await missing(each), each.request.url
        assert each.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in each.headers["content-security-policy"]
        for name in ("cache-control", "content-security-policy", "referrer-policy"):
            assert len(each.headers.get_list(name)) == 1, name


async def test_what_an_answer_says_itself_stays(studio: Studio) -> None:
    media_id = (await studio.register()).media.id
    console = await page(studio, "/")
    assert "script-src 'self'" in console.headers["content-security-policy"]
    assert console.headers["x-frame-options"] == "DENY"
    assert console.headers["cross-origin-opener-policy"] == "same-origin"
    assert "camera=()" in console.headers["permissions-policy"]
    status = await studio.get(f"/api/transcoding/status/{media_id}")
    assert status.headers["cache-control"] == "private, no-cache"
    assert (await studio.get("/api/media")).headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("url", "told"), [("https://here.test", True), ("http://here.test", False)]
)
async def test_https_stays_https(service: Service, url: str, told: bool) -> None:
    async with surrounded(service, public_app_url=url) as here:
        answer = await here.http.get("/livez")
    assert ("strict-transport-security" in answer.headers) is told


@pytest_asyncio.fixture(loop_scope="session")
async def shared(service: Service) -> AsyncIterator[Service]:
    """The service, which another site's pages may call."""
    async with surrounded(service, cors_origins=f"https://other.example {OUR_PAGES}") as here:
        yield here


async def preflight(here: Service, origin: str, method: str = "POST") -> httpx.Response:
    """What a browser asks before it sends a request of another site's page."""
    here.http.event_hooks["response"].clear()  # Its answer is for the browser alone.
    asked = {"origin": origin, "access-control-request-method": method}
    asked["access-control-request-headers"] = "content-type, idempotency-key"
    return await here.http.options("/api/media", headers=asked)


async def test_named_pages_may_call_with_the_cookie(shared: Service, studio: Studio) -> None:
    allowed = await preflight(shared, OUR_PAGES)
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == OUR_PAGES
    assert allowed.headers["access-control-allow-credentials"] == "true"
    cookie = studio.auth()["authorization"].removeprefix("Bearer ")
    sent = {"cookie": f"session={cookie}", "origin": OUR_PAGES}
    answer = await shared.http.post("/api/media", json=VIDEO.request(), headers=sent)
    assert answer.status_code == 201
    assert answer.headers["access-control-allow-origin"] == OUR_PAGES
    assert "ETag" in answer.headers["access-control-expose-headers"]
    refused = await shared.http.get("/api/media", headers={"origin": OUR_PAGES})
    assert refused.headers["access-control-allow-origin"] == OUR_PAGES, "errors can be read too"


@pytest.mark.parametrize(
    "origin", ["https://evil.test", "null", f"{OUR_PAGES}.evil.test", "http://app.example.com"]
)
async def test_other_pages_may_not(shared: Service, studio: Studio, origin: str) -> None:
    refused = await preflight(shared, origin)
    assert refused.status_code == 400
    assert "access-control-allow-origin" not in refused.headers
    cookie = studio.auth()["authorization"].removeprefix("Bearer ")
    sent = {"cookie": f"session={cookie}", "origin": origin}
    answer = await shared.http.post("/api/media", json=VIDEO.request(), headers=sent)
    assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin")
    assert "access-control-allow-origin" not in answer.headers


async def test_without_the_setting_no_other_page_may(studio: Studio) -> None:
    answer = await studio.get("/api/media", origin=OUR_PAGES)
    assert not [name for name in answer.headers if name.startswith("access-control")]
    asked = {"origin": OUR_PAGES, "access-control-request-method": "POST"}
    answer = await studio.service.http.options("/api/media", headers=asked)
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("origin", ["", "https://evil.test", "null"])
async def test_another_site_signs_nobody_out(studio: Studio, origin: str) -> None:
    cookie = {"cookie": "session=whatever"}
    foreign = await studio.service.http.delete("/api/session", headers=cookie | {"origin": origin})
    ours = await studio.service.http.delete("/api/session", headers=cookie | {"origin": PUBLIC_URL})
    assert (foreign.status_code, foreign.json()["code"]) == (403, "foreign_origin")
    assert (ours.status_code, (await studio.service.http.delete("/api/session")).status_code) == (
        204,
        204,
    )


@pytest.mark.parametrize(
    "origins",
    ["*", "https://*.example.com", "app.example.com", "https://a.test/", "https://a.test:443",
     "https://A.test", "https://u@a.test", "ftp://a.test", "null", "http://a.test"],
)  # fmt: skip
async def test_origins_are_named_whole(origins: str) -> None:
    with pytest.raises(SettingsInvalid, match="CORS_ORIGINS"):
        load(ENVIRON | {"CORS_ORIGINS": origins})


async def test_a_page_under_development_may_call_in(service: Service) -> None:
    assert load(ENVIRON | {"CORS_ORIGINS": "http://localhost:5173"}).allowed_origins


class Small(NamedTuple):
    """A small application with the same surroundings."""

    http: httpx.AsyncClient
    go_on: asyncio.Event


async def echo(request: Request) -> Response:
    return Response(await limited_body(request, 1_000))


def small(go_on: asyncio.Event) -> Starlette:
    async def wait(_: Request) -> Response:
        await go_on.wait()
        return Response("done")

    async def stream(_: Request) -> Response:
        async def lines() -> AsyncIterator[str]:
            yield "first\n"
            await asyncio.sleep(0.3)
            yield "last\n"

        return StreamingResponse(lines())

    async def bug(_: Request) -> Response:
        raise ValueError("a bug")

    paths = {"/wait": wait, "/stream": stream, "/bug": bug}
    routes = [Route(path, each) for path, each in paths.items()]
    return Starlette(
        routes=[*routes, Route("/echo", echo, methods=["POST"])], exception_handlers=HANDLERS
    )


@asynccontextmanager
async def running_small(**changed: object) -> AsyncIterator[Small]:
    settings: Settings = load(ENVIRON).model_copy(update=changed)
    go_on = asyncio.Event()
    app = small(go_on)
    app.middleware_stack = secured(app.build_middleware_stack(), settings)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://small.test") as http:
        yield Small(http, go_on)


async def test_a_bug_is_answered_with_the_headers_too() -> None:
    async with running_small() as app:
        answer = await app.http.get("/bug")
    assert answer.status_code == 500
    assert not await missing(answer)


async def test_a_request_that_takes_too_long_is_a_503_and_a_stream_is_not_cut() -> None:
    async with running_small(request_timeout_s=0.1) as app:
        late, stream = await asyncio.gather(app.http.get("/wait"), app.http.get("/stream"))
    assert (late.status_code, late.json()["code"]) == (503, "deadline_exceeded")
    assert late.headers["retry-after"] == "1"
    assert stream.text == "first\nlast\n"


async def dripping() -> AsyncIterator[bytes]:
    while True:
        yield b"x"
        await asyncio.sleep(0.02)


async def test_a_body_that_comes_too_slowly_is_a_408() -> None:
    async with running_small(body_timeout_s=0.1) as app:
        late = await app.http.post("/echo", content=dripping())
        whole = await app.http.post("/echo", content=b"in time")
    assert (late.status_code, late.json()["code"]) == (408, "body_timeout")
    assert late.headers["connection"] == "close"
    assert whole.text == "in time"


async def test_only_so_many_requests_wait_and_streams_that_began_do_not_count() -> None:
    async with running_small(requests_per_process=2) as app:
        waiting = [asyncio.create_task(app.http.get("/wait")) for _ in range(2)]
        await asyncio.sleep(0.05)
        refused = await app.http.get("/wait")
        app.go_on.set()
        served = await asyncio.gather(*waiting)
        again = await app.http.get("/wait")
        streams = [asyncio.create_task(app.http.get("/stream")) for _ in range(2)]
        await asyncio.sleep(0.05)
        beside = await app.http.get("/wait")
        await asyncio.gather(*streams)
    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    assert [each.status_code for each in (*served, again, beside)] == [200] * 4
