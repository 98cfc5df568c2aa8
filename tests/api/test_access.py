"""The route table's promises of who may call, checked for every row of it."""

import re
from uuid import uuid4

import httpx
import pytest

from api.auth import Role
from api.operations import Operation
from api.routes import OPERATIONS
from api.schemas import RetryRequest
from tests.api.studio import VIDEO, Studio

pytestmark = pytest.mark.asyncio(loop_scope="session")

GUARDED = [operation for operation in OPERATIONS if operation.roles]
RESTRICTED = [operation for operation in GUARDED if operation.roles != set(Role)]
OF_AN_ITEM = [
    operation
    for operation in GUARDED
    if "{media_id}" in operation.path or operation.body is RetryRequest
]


def name(operation: Operation) -> str:
    """The row, as a test's name."""
    return f"{operation.method} {operation.path}"


async def call(
    studio: Studio, operation: Operation, media_id: object, headers: dict[str, str]
) -> httpx.Response:
    """The operation on an item, with a body where it takes one."""
    path = operation.path.replace("{media_id}", str(media_id))
    bodies = {"RetryRequest": {"mediaId": str(media_id)}, "RegisterRequest": VIDEO.request()}
    body = bodies[operation.body.__name__] if operation.body else None
    return await studio.service.http.request(operation.method, path, json=body, headers=headers)


@pytest.mark.parametrize("operation", GUARDED, ids=name)
async def test_without_a_token_a_guarded_call_is_401(studio: Studio, operation: Operation) -> None:
    answer = await call(studio, operation, uuid4(), {})

    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize("operation", RESTRICTED, ids=name)
async def test_with_none_of_its_roles_a_guarded_call_is_403(
    studio: Studio, operation: Operation
) -> None:
    media_id = (await studio.register()).media.id

    answer = await call(studio, operation, media_id, studio.auth(*set(Role) - operation.roles))

    assert (answer.status_code, answer.json()["code"]) == (403, "role_required")
    assert all(role in answer.json()["detail"] for role in operation.roles)


@pytest.mark.parametrize("operation", OF_AN_ITEM, ids=name)
async def test_missing_foreign_and_impossible_items_answer_alike(
    studio: Studio, stranger: Studio, operation: Operation
) -> None:
    foreign_id = (await studio.ready()).media_id
    ids = [foreign_id, uuid4()] + (["no-uuid"] if "{media_id}" in operation.path else [])

    answers = [await call(studio, operation, each, stranger.auth()) for each in ids]

    assert {answer.status_code for answer in answers} == {403}
    assert answers[0].json()["code"] == "access_denied"
    assert len({answer.content for answer in answers}) == 1
    assert len({tuple(sorted(answer.headers.items())) for answer in answers}) == 1


async def test_only_probes_webhooks_capability_urls_and_signing_in_and_out_need_no_role() -> None:
    open_to_all = {operation.path for operation in OPERATIONS if not operation.roles}

    allowed = re.compile(
        r"/livez|/readyz|/metrics|/openapi\.json|/api/session|/api/transcoding/webhook.*|.*\{token\}.*"
    )
    assert [path for path in open_to_all if not allowed.fullmatch(path)] == []
