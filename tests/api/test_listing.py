"""One's items, newest first, a page at a time."""

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


BAD_CURSORS = ("", "!", "é", "AAA", "A" * 43, "A" * 44, "A" * 45, "=" * 44, "A" * 5000)


@pytest.mark.parametrize("cursor", BAD_CURSORS)
async def test_a_cursor_that_we_did_not_give_is_refused(studio: Studio, cursor: str) -> None:
    refused(await list_with(studio, cursor=cursor), "cursor")


async def test_a_cursor_that_was_altered_or_is_somebody_elses_is_refused(
    studio: Studio, stranger: Studio
) -> None:
    for _ in range(2):
        await studio.register()
    given = (await studio.get("/api/media?limit=1")).json()["nextCursor"]

    assert (await list_with(studio, cursor=given)).status_code == 200
    refused(await list_with(stranger, cursor=given), "cursor")
    for place in range(0, len(given), 5):
        other = "A" if given[place] != "A" else "B"
        altered = given[:place] + other + given[place + 1 :]
        refused(await list_with(studio, cursor=altered), "cursor")


@pytest.mark.parametrize("limit", ["0", "-1", "201", "many", "", "1.5", "9" * 5000, "²", "٣"])
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
