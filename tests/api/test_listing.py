"""One's items, newest first, a page at a time."""

import base64
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.api.studio import Studio

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def pages(studio: Studio, query: str) -> AsyncIterator[list[str]]:
    """The ids of each page, until there is no next one."""
    cursor = ""
    for _ in range(20):
        page = (await studio.get(f"/api/media?{query}{cursor}")).json()
        yield [item["id"] for item in page["items"]]
        if page["nextCursor"] is None:
            return
        cursor = f"&cursor={page['nextCursor']}"
    pytest.fail("the pages do not end")


@pytest.mark.parametrize(("limit", "sizes"), [(1, [1] * 7), (3, [3, 3, 1]), (7, [7]), (200, [7])])
async def test_pages_hold_every_item_once_newest_first(
    studio: Studio, limit: int, sizes: list[int]
) -> None:
    for _ in range(7):
        await studio.register()

    found = [page async for page in pages(studio, f"limit={limit}")]

    assert [len(page) for page in found] == sizes
    newest_first = [str(media_id) for media_id in reversed(studio.media)]
    assert [media_id for page in found for media_id in page] == newest_first


async def test_items_that_arrive_between_pages_shift_nothing(studio: Studio) -> None:
    for _ in range(4):
        await studio.register()
    reading = pages(studio, "limit=2")
    first = await anext(reading)
    await studio.register()

    second = await anext(reading)

    assert [*first, *second] == [str(media_id) for media_id in reversed(studio.media[:4])]


async def test_a_status_filters_the_list(studio: Studio) -> None:
    failed = (await studio.failed()).media_id
    transcoding = (await studio.transcoding()).media_id
    uploading = (await studio.register()).media.id
    expected = {"failed": [failed], "transcoding": [transcoding], "uploading": [uploading]}

    for status in ("uploading", "uploaded", "transcoding", "ready", "failed"):
        found = (await studio.get(f"/api/media?status={status}")).json()
        ids = [str(media_id) for media_id in expected.get(status, [])]
        assert [item["id"] for item in found["items"]] == ids


async def test_nobody_sees_the_items_of_others(studio: Studio, stranger: Studio) -> None:
    await studio.register()

    assert (await stranger.get("/api/media")).json() == {"items": [], "nextCursor": None}


async def test_a_page_has_50_items_when_nothing_is_said(studio: Studio) -> None:
    for _ in range(51):
        await studio.register()

    assert [len(page) async for page in pages(studio, "")] == [50, 1]


def encoded(text: str) -> str:
    """A cursor that holds `text`."""
    return base64.urlsafe_b64encode(text.encode()).decode()


ANY_ID = "0190a1b2-0000-4000-8000-000000000001"
BAD_CURSORS = (
    "",
    "!",
    "é",
    "AAA",
    encoded("yesterday"),
    encoded(f"yesterday {ANY_ID}"),
    encoded("2026-11-02T09:00:00+00:00 no-uuid"),
    encoded(f"0001-01-01T00:00:00+14:00 {ANY_ID}"),
    encoded(f"9999-12-31T23:59:59-14:00 {ANY_ID}"),
    encoded(f"2026-11-02T09:00:00+00:00 {ANY_ID} more"),
)


@pytest.mark.parametrize("cursor", BAD_CURSORS)
async def test_a_cursor_that_we_did_not_give_is_refused(studio: Studio, cursor: str) -> None:
    refused(await list_with(studio, cursor=cursor), "cursor")


@pytest.mark.parametrize("limit", ["0", "-1", "201", "many", "", "1.5", "9" * 5000, "²"])
async def test_a_limit_is_a_number_from_1_to_200(studio: Studio, limit: str) -> None:
    refused(await list_with(studio, limit=limit), "limit")


@pytest.mark.parametrize("status", ["", "READY", "gone"])
async def test_a_status_is_one_of_the_five(studio: Studio, status: str) -> None:
    refused(await list_with(studio, status=status), "status")


async def list_with(studio: Studio, **query: str) -> httpx.Response:
    """The list with these parameters."""
    return await studio.service.http.get("/api/media", params=query, headers=studio.auth())


def refused(answer: httpx.Response, parameter: str) -> None:
    """The answer refuses `parameter`, by name."""
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["detail"].startswith(parameter)
