"""Errors that no operation asked for, and the description of all of them."""

import re

import asyncpg
import pytest
from botocore.client import BaseClient
from openapi_spec_validator import validate

from api.operations import Operation
from api.problems import TYPE_PREFIX
from api.routes import OPERATIONS
from infra.settings import load
from tests.api.service import running
from tests.api.studio import Studio

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("path", ["/nothing", "/api", "/api/media/a/b/c", "/api/playback/"])
async def test_an_unknown_path_is_a_404_problem(studio: Studio, path: str) -> None:
    answer = await studio.get(path)

    assert answer.status_code == 404
    assert answer.json() == {
        "type": f"{TYPE_PREFIX}not_found",
        "title": "Not Found",
        "status": 404,
        "code": "not_found",
        "detail": "Not Found",
    }


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/api/media", {"GET", "HEAD", "POST"}),
        ("GET", "/api/transcoding/retry", {"POST"}),
        ("PUT", "/livez", {"GET", "HEAD"}),
    ],
)
async def test_a_wrong_method_is_a_405_problem_that_names_the_right_ones(
    studio: Studio, method: str, path: str, allowed: set[str]
) -> None:
    answer = await studio.service.http.request(method, path, headers=studio.auth())

    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert set(answer.headers["allow"].split(", ")) == allowed


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

    assert sorted(found) == sorted(described(operation) for operation in OPERATIONS)
    for operation in OPERATIONS:
        method, path = described(operation)
        assert paths[path][method].get("x-roles", []) == sorted(operation.roles)
        assert bool(paths[path][method].get("security")) == bool(operation.roles)


async def test_operations_have_names_of_their_own(studio: Studio) -> None:
    paths = studio.service.app.state.openapi["paths"]
    names = [each["operationId"] for methods in paths.values() for each in methods.values()]

    assert len(names) == len(set(names))
