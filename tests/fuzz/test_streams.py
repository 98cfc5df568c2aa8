"""The client's readers: the same messages however the bytes are cut, and nothing but its errors."""

from contextlib import suppress
from itertools import pairwise

import httpx
from hypothesis import given
from hypothesis import strategies as st

from codex_media.errors import ServiceRefused, StreamBroken, refusal
from codex_media.events import Lines, Message, Messages, live_event
from tests.fuzz.shapes import few

one_line = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=20)
sent = st.lists(
    st.builds(Message, st.sampled_from(["open", "media", "x"]), one_line, st.none() | one_line)
)


def written(messages: list[Message]) -> bytes:
    """The messages as a service writes them."""
    lines = []
    for message in messages:
        place = "" if message.id is None else f"id: {message.id}\n"
        lines.append(f": keep-alive\n\nevent: {message.kind}\n{place}data: {message.data}\n\n")
    return "".join(lines).encode()


@few
@given(sent, st.lists(st.integers(0, 400), max_size=8))
def test_messages_are_the_same_however_they_are_cut(
    messages: list[Message], cuts: list[int]
) -> None:
    body, reader = written(messages), Messages()
    ends = sorted({0, len(body), *(min(cut, len(body)) for cut in cuts)})

    found = [each for a, b in pairwise(ends) for each in reader.feed(body[a:b])]

    assert found == messages


@few
@given(st.lists(st.binary(max_size=50), max_size=8))
def test_any_bytes_are_messages_or_a_broken_stream(chunks: list[bytes]) -> None:
    reader = Messages()
    for chunk in chunks:
        for message in reader.feed(chunk):
            with suppress(StreamBroken):
                live_event(message)


@few
@given(st.binary(max_size=200))
def test_lines_end_at_a_line_feed_alone(body: bytes) -> None:
    found = list(Lines().feed(body + b"\n"))

    assert found == [line.removesuffix(b"\r") for line in body.split(b"\n")]


@few
@given(
    st.integers(400, 599),
    st.binary(max_size=100),
    st.text(st.characters(codec="ascii"), max_size=9),
)
def test_any_refusal_is_an_error_with_a_code(status: int, body: bytes, wait: str) -> None:
    headers = [(b"retry-after", wait.encode())]
    found = refusal(httpx.Response(status, content=body, headers=headers))

    assert isinstance(found, ServiceRefused)
    assert found.status == status
    assert found.code
