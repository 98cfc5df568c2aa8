"""Capability tokens: nothing but what was signed, for its purpose, until its end."""

from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.capability import Capability, CapabilityRefused, Purpose, mint, verify
from infra.settings import CapabilityKey

OLD = CapabilityKey("k1", b"1" * 32)
NEW = CapabilityKey("k2", b"2" * 32)
EXPIRES_S = 1_800_000_000
GIVEN = Capability("webhook", UUID("0190a1b2-0000-4000-8000-000000000001"), 2, EXPIRES_S)
TOKEN = mint(NEW, GIVEN)

purposes: st.SearchStrategy[Purpose] = st.sampled_from(("webhook", "play"))
capabilities = st.builds(
    Capability,
    purpose=purposes,
    media_id=st.uuids(),
    attempt=st.integers(0, 9),
    expires_s=st.integers(1, 2**40),
)


@given(capabilities)
def test_token_allows_exactly_what_was_minted(capability: Capability) -> None:
    found = verify([NEW], mint(NEW, capability), capability.purpose, capability.expires_s - 1)
    assert found == capability


def test_token_needs_no_escaping_in_a_path() -> None:
    assert set(TOKEN) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


@given(st.integers(0, len(TOKEN) - 1), st.characters())
def test_f08_any_changed_character_is_refused(place: int, character: str) -> None:
    changed = TOKEN[:place] + character + TOKEN[place + 1 :]
    if changed != TOKEN:
        with pytest.raises(CapabilityRefused):
            verify([NEW, OLD], changed, "webhook", 0)


@given(st.integers(0, len(TOKEN)), st.characters())
def test_any_added_character_is_refused(place: int, character: str) -> None:
    with pytest.raises(CapabilityRefused):
        verify([NEW, OLD], TOKEN[:place] + character + TOKEN[place:], "webhook", 0)


@pytest.mark.parametrize("length", range(len(TOKEN)))
def test_cut_token_is_refused(length: int) -> None:
    with pytest.raises(CapabilityRefused):
        verify([NEW, OLD], TOKEN[:length], "webhook", 0)


@settings(max_examples=200)
@given(st.text())
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(CapabilityRefused):
        verify([NEW, OLD], text, "webhook", 0)


def test_lone_surrogate_is_refused() -> None:
    with pytest.raises(CapabilityRefused):
        verify([NEW], f"\ud800.{TOKEN.partition('.')[2]}", "webhook", 0)
    with pytest.raises(CapabilityRefused):
        verify([NEW], f"{TOKEN}\ud800", "webhook", 0)


@pytest.mark.parametrize(("minted", "wanted"), [("webhook", "play"), ("play", "webhook")])
def test_f08_token_serves_no_other_purpose(minted: Purpose, wanted: Purpose) -> None:
    token = mint(NEW, GIVEN._replace(purpose=minted))
    with pytest.raises(CapabilityRefused, match=f"not for {wanted}"):
        verify([NEW], token, wanted, 0)
    with pytest.raises(CapabilityRefused):
        verify([NEW], token.replace(minted, wanted), wanted, 0)


def test_token_is_good_until_its_last_second() -> None:
    assert verify([NEW], TOKEN, "webhook", EXPIRES_S - 0.001) == GIVEN
    for now_s in (EXPIRES_S, EXPIRES_S + 1):
        with pytest.raises(CapabilityRefused, match="over"):
            verify([NEW], TOKEN, "webhook", now_s)


def test_f39_key_is_rotated_without_losing_what_the_older_signed() -> None:
    older = mint(OLD, GIVEN)
    assert verify([NEW, OLD], older, "webhook", 0) == GIVEN
    assert verify([NEW, OLD], TOKEN, "webhook", 0) == GIVEN
    with pytest.raises(CapabilityRefused, match="unknown key"):
        verify([NEW], older, "webhook", 0)
    with pytest.raises(CapabilityRefused):
        verify([], TOKEN, "webhook", 0)


def test_key_of_the_same_id_but_another_secret_is_refused() -> None:
    with pytest.raises(CapabilityRefused, match="forged"):
        verify([NEW._replace(secret=b"3" * 32)], TOKEN, "webhook", 0)
