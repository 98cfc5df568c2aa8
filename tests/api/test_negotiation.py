"""Which media type a call answers in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.negotiation import best
from tests.api.studio import Studio

JSON, NDJSON, TEXT = "application/json", "application/x-ndjson", "text/plain; version=0.0.4"
OFFERED = (JSON, NDJSON)


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("application/x-ndjson", NDJSON),
        ("APPLICATION/X-NDJSON", NDJSON),
        ("application/x-ndjson, application/json;q=0.5", NDJSON),
        ("application/x-ndjson;q=0.2, application/json;q=0.5", JSON),
        ("application/json;q=0, */*", NDJSON),
        ("application/json;q=0, */*;q=0.1", NDJSON),
        ("text/html, application/xhtml+xml, */*;q=0.8", JSON),
        ("application/json; charset=utf-8", JSON),
        ("application/x-ndjson;q=much, application/json;q=0.9", NDJSON),
        ("text/html", None),
        ("*/*;q=0", None),
        ("application/json;q=0", None),
        (",", None),
    ],
)
def test_the_type_that_is_liked_most_is_chosen(accept: str, chosen: str | None) -> None:
    assert best(accept, OFFERED) == chosen


def test_a_types_own_parameters_do_not_matter() -> None:
    assert best("text/plain", (TEXT,)) == TEXT


@given(st.text() | st.from_regex(r"([a-z*]+/[a-z*]+(;q=[0-9.]{0,6})?,? ?){1,5}"))
def test_any_accept_is_answered_one_way_or_the_other(accept: str) -> None:
    assert best(accept, OFFERED) in {*OFFERED, None}


@pytest.mark.asyncio(loop_scope="session")
async def test_a_call_that_cannot_answer_as_asked_is_a_406(studio: Studio) -> None:
    answer = await studio.get("/api/media", accept="text/html")

    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")
    assert "application/json" in answer.json()["detail"]


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("path", ["/livez", "/metrics", "/openapi.json"])
async def test_where_nobody_signs_in_any_accept_will_do(studio: Studio, path: str) -> None:
    answer = await studio.service.http.get(path, headers={"accept": "image/webp"})

    assert answer.status_code == 200
