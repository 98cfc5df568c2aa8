"""The quick encoder writes exactly what RFC 8785 asks for, or leaves the value to one that does."""

import math
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from infra.postgres import canonical_json as module
from infra.postgres.canonical_json import MAX_INT, MIN_FRACTION, canonical_json
from infra.postgres.event_store import canonical
from tests import factories as f
from tests.infra.lives import RETRIED

NUMBERS = st.integers() | st.floats() | st.floats(-1e17, 1e17) | st.floats(-1e-3, 1e-3)
TEXTS = st.text(st.characters(exclude_categories=[]))  # surrogates too
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


def outcome(write: Any, value: Any) -> Any:
    """The text, or that there is none."""
    try:
        text = write(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError):
        return "none"
    return text


@given(VALUES)
@example({"\ue000": 1, "\U0001f3ac": 2})  # UTF-16 sorts the second first
@example({"a": -0.0, "b": 60.0, "c": 1e16, "d": 1e-5, "e": 1e-7, "f": 1e21, "g": 9007199254740993})
@example([2**53 - 1, 2**53, -(2**53) + 1, 9007199254740992.0, MIN_FRACTION, 1e16])
@example('\x00\x1f\x7f\u2028\\/"\b\f\n\r\t\U0001f3ac')
@example("\ud800")
@example([math.nan])
@example({"a": math.inf})
def test_text_is_that_of_rfc_8785(value: Any) -> None:
    assert outcome(canonical_json, value) == outcome(
        lambda given: rfc8785.dumps(given).decode(), value
    )


@given(st.floats(MIN_FRACTION, 1e17) | st.integers(0, MAX_INT))
def test_numbers_in_and_around_the_quick_range_are_those_of_rfc_8785(value: float) -> None:
    for number in (value, -value):
        assert canonical_json([number]) == rfc8785.dumps([number]).decode()


def test_payloads_of_a_whole_life_take_the_quick_way(monkeypatch: pytest.MonkeyPatch) -> None:
    events = [f.sealed(event).event for part in RETRIED for event in part]
    expected = [canonical(event) for event in events]
    monkeypatch.delattr(module, "rfc8785")  # whoever needs it fails
    assert [canonical(event) for event in events] == expected
