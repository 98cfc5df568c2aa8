"""Cursors: what was written is read again, by its creator alone; nothing else is."""

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.cursors import EPOCH, CursorRefused, read, written
from infra.postgres.reads import Cursor
from infra.settings import CapabilityKey

KEY, OLD = CapabilityKey("2", b"k" * 32), CapabilityKey("1", b"o" * 32)
YEARS = timedelta(days=365) * 60
TIMES = st.timedeltas(-YEARS, YEARS).map(lambda since: EPOCH + since)
CURSORS = st.builds(Cursor, TIMES, st.uuids())


@given(CURSORS)
def test_what_was_written_is_read(last: Cursor) -> None:
    text = written(OLD, "alice", last)

    assert len(text) == 44
    assert read([KEY, OLD], "alice", text) == last


@given(CURSORS, st.integers(0, 43), st.sampled_from("ABab09-_"))
def test_an_altered_cursor_is_refused(last: Cursor, place: int, letter: str) -> None:
    text = written(KEY, "alice", last)
    altered = text[:place] + letter + text[place + 1 :]

    if altered != text:
        with pytest.raises(CursorRefused):
            read([KEY], "alice", altered)


@given(st.text())
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(CursorRefused):
        read([KEY], "alice", text)


def test_a_cursor_is_one_creators_and_one_keys() -> None:
    text = written(KEY, "alice", Cursor(EPOCH + timedelta(days=20_000), UUID(int=7)))

    for keys, creator in (([KEY], "bob"), ([OLD], "alice"), ([], "alice")):
        with pytest.raises(CursorRefused):
            read(keys, creator, text)
