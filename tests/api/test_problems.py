"""Errors that no operation asked for, and the description of all of them."""

import json
import logging
import re
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest
from botocore.client import BaseClient
from openapi_spec_validator import validate

from api.operations import Operation
from api.problem_codes import CATALOGUE, PAGE
from api.problems import STATUSES
from api.routes import OPERATIONS
from domain.errors import DomainError
from infra.settings import load
from tests.api.gpu import failure
from tests.api.service import REQUEST_ID, Service, running
from tests.api.studio import Studio
from tests.api.test_health import cut, hang_up, mend
from tests.api.test_playback import token

pytestmark = pytest.mark.asyncio(loop_scope="session")
STREAMED = [each for each in OPERATIONS if each.streamed is not None]


@pytest.mark.parametrize("path", ["/nothing", "/api", "/api/media/a/b/c", "/api/playback/"])
async def test_an_unknown_path_is_a_404_problem(studio: Studio, path: str) -> None:
    answer = await studio.get(path)

    assert answer.status_code == 404
    assert answer.json() == {
        "type": f"{PAGE}#not_found",
        "title": "Not Found",
        "status": 404,
        "code": "not_found",
        "detail": "Not Found",
        "requestId": REQUEST_ID,
    }


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/api/media", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("GET", "/api/transcoding/retry", {"OPTIONS", "POST"}),
        ("PUT", "/livez", {"GET", "HEAD", "OPTIONS"}),
    ],
)
async def test_a_wrong_method_is_a_405_problem_that_names_the_right_ones(
    studio: Studio, method: str, path: str, allowed: set[str]
) -> None:
    answer = await studio.service.http.request(method, path, headers=studio.auth())

    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert set(answer.headers["allow"].split(", ")) == allowed


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/api/media", "GET, HEAD, OPTIONS, POST"), ("/api/transcoding/retry", "OPTIONS, POST")],
)
async def test_options_tells_the_methods(studio: Studio, path: str, allowed: str) -> None:
    answer = await studio.service.http.options(path)

    assert (answer.status_code, answer.headers["allow"], answer.content) == (204, allowed, b"")


@pytest.mark.parametrize("operation", STREAMED, ids=[each.path for each in STREAMED])
async def test_head_of_a_stream_is_its_headers_and_leaves_nothing_open(
    studio: Studio, operation: Operation
) -> None:
    headers = studio.auth(*operation.roles)

    answer = await studio.service.http.head(operation.path, headers=headers)

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"].startswith(operation.media_types[0])
    assert studio.service.app.state.hub._count == 0


async def test_every_refusal_of_the_domain_has_a_code_and_its_status() -> None:
    for kind, mapped in STATUSES.items():
        assert issubclass(kind, DomainError)
        assert CATALOGUE[kind.code].status == mapped.status
    everyone = set(DomainError.__subclasses__())
    while everyone:
        kind = everyone.pop()
        everyone |= set(kind.__subclasses__())
        assert kind.code in CATALOGUE, kind


async def test_a_bug_is_a_500_problem_without_trace_or_secret(
    environ: dict[str, str], s3: BaseClient, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(load(environ)) as service:
        studio = Studio(service, s3, "alice")
        owner = await asyncpg.connect(environ["DATABASE_URL"])
        await owner.execute("ALTER TABLE media_items RENAME TO elsewhere")
        await owner.close()

        answer = await studio.get("/api/media", cookie="session=very-secret")

    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert answer.json()["detail"] == ("GET /api/media failed on our side. The failure was logged.")
    for secret in ("media_items", "Traceback", "asyncpg", "very-secret", environ["DATABASE_URL"]):
        assert secret not in answer.text


PLAYBACK = "GET /api/playback/{token}/{path:path}"
NATIVE_WEBHOOK = "POST /api/transcoding/webhook/{token}"


class Callers:
    """Calls the two operations whose paths hold a token, as a player and as RunPod."""

    def __init__(self, service: Service, s3: BaseClient) -> None:
        self.studio = Studio(service, s3, "alice")
        self.tokens: dict[str, str] = {}

    async def prepare(self) -> None:
        media_id = (await self.studio.register()).media.id
        self.tokens[PLAYBACK] = token(self.studio, media_id)
        self.tokens[NATIVE_WEBHOOK] = token(self.studio, media_id, "webhook")

    async def call(self, operation: str) -> tuple[int, str]:
        """Status, and the problem's detail."""
        method, path = operation.split(" ")
        path = path.replace("{token}", self.tokens[operation])
        answer = await self.studio.service.http.request(
            method, path.replace("{path:path}", "master.m3u8")
        )
        return answer.status_code, answer.json()["detail"]


async def test_the_log_of_a_database_that_is_away_names_the_route_and_no_token(
    environ: dict[str, str],
    dsn: str,
    s3: BaseClient,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    line = tmp_path / "line"
    mend(line, dsn)
    over_line = f"{dsn.partition('?')[0]}?host={quote(str(line), safe='')}"
    async with running(load(environ | {"DATABASE_URL": over_line})) as service:
        callers = Callers(service, s3)
        await callers.prepare()
        cut(line)
        await hang_up(dsn)
        for operation, secret in callers.tokens.items():
            caplog.clear()

            status, detail = await callers.call(operation)

            (told,) = (r.getMessage() for r in caplog.records if r.name == "api.problems")
            assert status == 503
            assert told.startswith(f"{operation}: ")
            assert secret not in told + detail


async def test_a_bug_behind_a_token_is_told_with_the_route_and_no_token(
    environ: dict[str, str], s3: BaseClient, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(load(environ)) as service:
        callers = Callers(service, s3)
        await callers.prepare()
        owner = await asyncpg.connect(environ["DATABASE_URL"])
        for table in ("events", "media_items", "webhook_inbox"):
            await owner.execute(f"ALTER TABLE {table} RENAME TO {table}_elsewhere")
        await owner.close()
        caplog.clear()
        caplog.set_level(logging.WARNING)
        for operation in callers.tokens:
            assert await callers.call(operation) == (
                500,
                f"{operation} failed on our side. The failure was logged.",
            )
    assert not [secret for secret in callers.tokens.values() if secret in caplog.text]


@pytest.mark.parametrize("job_id", ["job\x00", "job\n1", "\x1b[2J", "", "j" * 151])
async def test_a_signed_report_whose_job_id_is_none_is_a_422_problem(
    studio: Studio, job_id: str
) -> None:
    job = await studio.transcoding()
    report = json.loads(failure(job).to_json()) | {"jobId": job_id}

    answer = await studio.gpu.deliver(json.dumps(report).encode())

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert "jobId" in answer.text
    assert (await studio.status(job.media_id)).status == "transcoding"


@pytest.mark.parametrize("number", ["Infinity", "-Infinity", "NaN"])
async def test_a_signed_report_with_a_number_that_is_none_is_a_422_problem(
    studio: Studio, number: str
) -> None:
    job = await studio.transcoding()
    body = failure(job).to_json().replace('"output":{', f'"output":{{"durationSeconds":{number},')

    answer = await studio.gpu.deliver(body.encode())

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert (await studio.status(job.media_id)).status == "transcoding"


async def test_the_description_is_valid_openapi(studio: Studio) -> None:
    answer = await studio.service.http.get("/openapi.json")

    assert answer.headers["content-type"] == "application/json"
    validate(answer.json())
    assert answer.json()["openapi"].startswith("3.1")


def described(operation: Operation) -> tuple[str, str]:
    """The row as OpenAPI writes it."""
    return operation.method.lower(), re.sub(r":path\}", "}", operation.path)


async def test_the_description_holds_every_route_and_no_other(studio: Studio) -> None:
    paths = studio.service.app.state.openapi["paths"]

    found = [(method, path) for path, methods in paths.items() for method in methods]

    offered = [operation for operation in OPERATIONS if not operation.demo]
    assert sorted(found) == sorted(described(operation) for operation in offered)
    for operation in offered:
        method, path = described(operation)
        assert paths[path][method].get("x-roles", []) == sorted(operation.roles)
        assert bool(paths[path][method].get("security")) == bool(operation.roles)


async def test_operations_have_names_of_their_own(studio: Studio) -> None:
    paths = studio.service.app.state.openapi["paths"]
    names = [each["operationId"] for methods in paths.values() for each in methods.values()]

    assert len(names) == len(set(names))
