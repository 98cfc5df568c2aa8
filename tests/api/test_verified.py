"""Tokens that were verified a moment ago."""

import time

import pytest

from api import verified
from api.verified import MAX_LIFE_S, Verified

NOW = 1_800_000_000.0


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time it is; set the first."""
    clock = [NOW]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    return clock


def test_a_token_is_known_for_a_short_while_and_never_past_its_end(at: list[float]) -> None:
    known = Verified[str]()
    assert known.find("a") is None
    assert known.keep("a", "alice", NOW + 3600) == known.find("a") == "alice"
    known.keep("b", "bob", NOW + 5)
    at[0] = NOW + 5
    assert (known.find("a"), known.find("b")) == ("alice", None)
    at[0] = NOW + MAX_LIFE_S
    assert known.find("a") is None


def test_no_more_are_kept_than_there_is_room_for(
    at: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verified, "MAX_KEPT", 2)
    known = Verified[str]()
    for token in "abc":
        known.keep(token, token, NOW + 60)
    assert [known.find(token) for token in "abc"] == [None, "b", "c"]
