"""The console's files as a browser gets them."""

import hashlib
import json
import re
from collections.abc import AsyncIterator
from gzip import decompress

import httpx
import pytest
import pytest_asyncio
from starlette.applications import Starlette

from api import pages
from api.openapi import document
from api.problem_codes import CATALOGUE
from api.problems import HANDLERS
from api.reference.markup import tag, words
from api.routes import OPERATIONS
from infra.settings import load
from tests.docs import ROOT
from tests.infra.variables import ENVIRON

DESCRIPTION = document(OPERATIONS, "test")
pytestmark = pytest.mark.asyncio(loop_scope="session")
SETTINGS = load(
    ENVIRON
    | {
        "R2_ENDPOINT": "https://account.r2.test",
        "R2_BUCKET": "films",
        "PUBLIC_MEDIA_URL": "https://cdn.test/films",
    }
)


@pytest_asyncio.fixture(loop_scope="session")
async def http() -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=pages.routes(SETTINGS, DESCRIPTION), exception_handlers=HANDLERS)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://here.test") as client:
        yield client


def directives(answer: httpx.Response) -> dict[str, list[str]]:
    """The Content Security Policy, by directive."""
    parts = answer.headers["content-security-policy"].split("; ")
    return {name: sources for name, *sources in map(str.split, parts)}


@pytest.mark.parametrize("path", ["/", "/audit"])
async def test_a_page_loads_what_is_there_and_holds_no_code_of_its_own(
    http: httpx.AsyncClient, path: str
) -> None:
    page = await http.get(path)

    named = re.findall(r'(?:src|href)="(/[^"]*)"', page.text)
    assert any(name.endswith(".js") for name in named)
    for name in named:
        assert (await http.get(name)).status_code == 200, name
    assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=", page.text)


@pytest.mark.parametrize("path", ["/docs", "/docs/problems"])
async def test_the_reference_leads_nowhere_in_vain_and_runs_no_script(
    http: httpx.AsyncClient, path: str
) -> None:
    pages_of = {each: (await http.get(each)).text for each in ("/docs", "/docs/problems")}
    ids = {each: re.findall(r' id="([^"]+)"', text) for each, text in pages_of.items()}

    assert len(set(ids[path])) == len(ids[path])
    assert not re.search(r"<script|<style|\son\w+=|\sstyle=", pages_of[path])
    for target in set(re.findall(r'(?:src|href)="([^"]*)"', pages_of[path])):
        page, _, place = target.partition("#")
        if place:
            assert place in ids[page or path], target
        elif page != "/openapi.json":
            assert (await http.get(page)).status_code == 200, target


async def test_the_reference_holds_every_operation_model_and_problem(
    http: httpx.AsyncClient,
) -> None:
    api, problems = (await http.get("/docs")).text, (await http.get("/docs/problems")).text

    names = [operation.endpoint.__name__ for operation in OPERATIONS]
    models = DESCRIPTION["components"]["schemas"]
    assert all(f'id="{name}"' in api for name in [*names, *models])
    assert all(f'id="{code}"' in problems for code in CATALOGUE)
    assert all(remedy.split("`")[0] in problems for _, _, remedy in CATALOGUE.values())


async def test_text_never_becomes_markup() -> None:
    made = tag("p", "<script>", words("`a<b` [x](/y) & z"), title='"quoted"')

    assert made == (
        '<p title="&quot;quoted&quot;">&lt;script&gt;'
        '<code>a&lt;b</code> <a href="/y">x</a> &amp; z</p>'
    )


async def test_every_module_imports_only_what_is_there(http: httpx.AsyncClient) -> None:
    modules = [name for name in pages.load() if name.startswith("js/")]

    for name in modules:
        text = (await http.get(f"/console/{name}")).text
        for wanted in re.findall(r'(?:from |import\()"([^"]+)"', text):
            found = await http.get(str(httpx.URL(f"/console/{name}").join(wanted)))
            assert found.status_code == 200, (name, wanted)
            assert found.headers["content-type"].startswith("text/javascript")


async def test_only_our_code_runs_and_only_from_here_and_the_bucket_it_loads(
    http: httpx.AsyncClient,
) -> None:
    answer = await http.get("/console/js/console.js")

    policy = directives(answer)
    assert policy["default-src"] == ["'none'"]
    assert policy["script-src"] == policy["style-src"] == policy["worker-src"] == ["'self'"]
    bucket = {"https://account.r2.test", "https://films.account.r2.test", "https://cdn.test"}
    for name in ("connect-src", "img-src", "media-src"):
        assert bucket < set(policy[name]), name
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "unsafe" not in answer.headers["content-security-policy"]


async def test_a_file_that_the_browser_has_is_not_sent_again(http: httpx.AsyncClient) -> None:
    first = await http.get("/console/css/base.css")
    again = await http.get(
        "/console/css/base.css", headers={"if-none-match": first.headers["etag"]}
    )
    other = await http.get("/console/css/base.css", headers={"if-none-match": '"old"'})

    assert first.headers["cache-control"] == "no-cache"
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert other.status_code == 200


async def test_a_file_is_packed_for_whom_that_suits(http: httpx.AsyncClient) -> None:
    url = "/console/vendor/hls.min.mjs"
    packed = await http.send(http.build_request("GET", url, headers={"accept-encoding": "gzip"}))
    plain = await http.get(url, headers={"accept-encoding": "identity"})

    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < len(plain.content) / 3
    assert packed.content == plain.content
    assert decompress(pages.load()["vendor/hls.min.mjs"].packed or b"") == plain.content


@pytest.mark.parametrize(
    "path", ["../pages.py", "..%2fpages.py", "js/none.js", "", "js", "%2e%2e/app.py", "/etc/passwd"]
)
async def test_nothing_else_is_served(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(f"/console/{path}")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_vendored_files_are_those_of_the_packages_that_are_named() -> None:
    stated = json.loads((ROOT / "requirements/vendor.json").read_text("utf-8"))
    kept = {place: digest for each in stated.values() for place, digest in each["sha256"].items()}

    places = [place for each in stated.values() for place in each["files"].values()]
    found = {place: hashlib.sha256((ROOT / place).read_bytes()).hexdigest() for place in places}

    assert kept == found, "run requirements/vendor"
    vendored = {f"src/api/console/{name}" for name in pages.load() if name.startswith("vendor/")}
    assert vendored == set(places)
