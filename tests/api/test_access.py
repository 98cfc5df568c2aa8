"""Every operation, called by everybody, with every kind of id: as docs/access.md says."""

import re
from collections.abc import Iterator
from itertools import product

import asyncpg
import httpx
import pytest
import pytest_asyncio
from botocore.client import BaseClient

from api.operations import Operation
from api.routes import OPERATIONS
from tests import access
from tests.access import By, Case, State, Which, Who
from tests.api.callers import Callers, Items
from tests.api.service import Service
from tests.api.studio import Studio
from tests.api.test_audit import seal
from tests.docs import BLOCKS, written

pytestmark = pytest.mark.asyncio(loop_scope="session")

OF_AN_ITEM = [(operation, case) for operation, case in access.rows() if case.state]
OF_THE_REQUEST = {"x-request-id", "traceparent", "date", "ratelimit"}
"""Headers that differ from request to request, whatever it asks."""


@pytest_asyncio.fixture(loop_scope="session")
async def callers(studio: Studio, stranger: Studio, service: Service, s3: BaseClient) -> Callers:
    """Everybody, of the service that all tests share."""
    return Callers(studio, stranger, Studio(service, s3, f"third-of-{studio.creator}"))


def row_name(value: object) -> str:
    """A part of a row, as a part of a test's name."""
    return value.endpoint.__name__ if isinstance(value, Operation) else getattr(value, "query", "")


def ids_of(operation: Operation, case: Case) -> list[Which]:
    """Which ids make a difference. In a body, what is no id is a wrong field."""
    if case.state is None:
        return [Which.OWNERS]
    return [each for each in Which if "{media_id}" in operation.path or each is not Which.MALFORMED]


def method_of(operation: Operation, *, succeeds: bool) -> str:
    """What goes on for ever, or for long, is asked for its headers alone."""
    streams = operation.streamed is not None and succeeds
    return "HEAD" if streams else operation.method


def told(answer: httpx.Response) -> str:
    """Status and code, as the table has them."""
    if not answer.is_error:
        return str(answer.status_code)
    return f"{answer.status_code} {answer.json()['code']}"


def same(answer: httpx.Response) -> tuple[bytes, tuple[tuple[str, str], ...]]:
    """All of an answer that could tell one id from another."""
    headers = (each for each in answer.headers.items() if each[0] not in OF_THE_REQUEST)
    own = str(answer.json().get("requestId")).encode()
    return answer.content.replace(own, b""), tuple(sorted(headers))


@pytest.mark.parametrize(("operation", "case"), list(access.rows()), ids=row_name)
async def test_everybody_gets_what_the_table_says(
    callers: Callers, operation: Operation, case: Case
) -> None:
    expected = access.documented(written("access", BLOCKS["access"][0]))
    items = Items(callers)
    await callers.third.register()
    await seal(callers.owner)
    denied = set()
    changes = operation.method not in {"GET", "HEAD"}
    for who, which, by in product(Who, ids_of(operation, case), By):
        where = access.column(operation, case, who, which, by)
        wanted = expected(access.name(operation, case), where)
        named = await items.named(which, case.state, anew=changes and wanted == case.success)
        method = method_of(operation, succeeds=wanted == case.success)
        answer = await callers.call(operation, case, named, callers.credentials(who, by), method)
        assert told(answer) == wanted, (who, which, by)
        if wanted == access.DENIED:
            denied.add(same(answer))
    assert len(denied) <= 1, "missing and foreign items are told apart"
    await callers.third.check_books()


async def test_every_operation_has_a_row() -> None:
    assert {each.endpoint.__name__ for each in OPERATIONS} == set(access.CASES)


async def test_an_operation_without_a_row_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(access.CASES, "read_status")

    with pytest.raises(KeyError, match="read_status"):
        list(access.table())


class Statements:
    """What the service asks the database while it is looked at."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, record: asyncpg.connection.LoggedQuery) -> None:
        self.seen.append(record.query)


@pytest.mark.parametrize(("operation", "case"), OF_AN_ITEM, ids=row_name)
async def test_a_foreign_item_costs_the_same_statements_as_a_missing_one(
    callers: Callers, operation: Operation, case: Case, statements: Statements
) -> None:
    items = Items(callers)
    asked = {}
    for which in (Which.OWNERS, Which.MISSING):
        named = await items.named(which, State.UPLOADING, anew=False)
        statements.seen.clear()
        other = callers.credentials(Who.OTHER, By.BEARER)
        await callers.call(operation, case, named, other, operation.method)
        asked[which] = list(statements.seen)

    assert asked[Which.OWNERS] == asked[Which.MISSING] != []


async def test_the_events_of_a_foreign_item_are_not_even_read(callers: Callers) -> None:
    media_id = (await callers.owner.register()).media.id
    load = callers.owner.service.services.store.load

    assert await load(media_id, callers.other.creator) == []
    assert await load(media_id, callers.owner.creator) == await load(media_id) != []


@pytest.fixture
def statements(service: Service) -> Iterator[Statements]:
    """Listens at every connection of the service's pool."""
    seen = Statements()
    open_now = [holder._con for holder in service.services.pool._holders if holder._con]
    for connection in open_now:
        connection.add_query_logger(seen)
    yield seen
    for connection in open_now:
        connection.remove_query_logger(seen)


async def test_only_probes_webhooks_capability_urls_and_signing_in_and_out_need_no_role() -> None:
    open_to_all = {operation.path for operation in OPERATIONS if not operation.roles}

    allowed = re.compile(
        r"/livez|/readyz|/metrics|/openapi\.json|/api/session|/api/transcoding/webhook.*|.*\{token\}.*"
    )
    assert [path for path in open_to_all if not allowed.fullmatch(path)] == []
