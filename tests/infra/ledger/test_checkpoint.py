"""Checkpoints: written, read back, and refused when anything about them was changed."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.ledger import checkpoint
from infra.ledger.checkpoint import CheckpointInvalid, PublicKey, SigningKey
from tests.infra.ledger.ledgers import KEY, OTHER_KEY

NOTE = KEY.sign(20852163, b"r" * 32)


@given(st.integers(0, 2**63), st.binary(min_size=32, max_size=32))
def test_signed_checkpoint_reads_back(size: int, root: bytes) -> None:
    stated = checkpoint.verify(KEY.sign(size, root), KEY.public)
    assert stated == (KEY.public.name, size, root)


def test_note_has_the_form_of_c2sp() -> None:
    origin, size, root, empty, signature, end = NOTE.split("\n")
    assert (origin, size, empty, end) == ("ledger.test", "20852163", "", "")
    assert len(root) == 44
    assert signature.startswith("— ledger.test ")


@given(st.data())
def test_changed_checkpoint_is_refused(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(NOTE) - 2))
    other = data.draw(st.sampled_from("\n 0A/+=—é").filter(lambda char: char != NOTE[at]))
    with pytest.raises(CheckpointInvalid):
        checkpoint.verify(NOTE[:at] + other + NOTE[at + 1 :], KEY.public)


def test_checkpoint_of_another_key_or_name_is_refused() -> None:
    for key in (OTHER_KEY, SigningKey("ledger.else", b"k" * 32)):
        with pytest.raises(CheckpointInvalid, match=r"signed by|origin"):
            checkpoint.verify(NOTE, key.public)


def test_signature_is_taken_in_its_one_spelling_alone() -> None:
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
    last = NOTE[-3]
    assert NOTE.endswith(f"{last}=\n")
    same_bytes = alphabet[alphabet.index(last) + 1]
    with pytest.raises(CheckpointInvalid, match="not signed"):
        checkpoint.verify(f"{NOTE[:-3]}{same_bytes}=\n", KEY.public)


def test_public_key_reads_back_and_a_damaged_one_is_refused() -> None:
    text = str(KEY.public)
    assert PublicKey.parse(f"{text}\n") == KEY.public
    name, key_id, encoded = text.split("+", 2)
    for wrong in (
        "",
        name,
        f"{name}+{key_id}",
        f"{name}x+{key_id}+{encoded}",
        f"{name}+00000000+{encoded}",
        f"{name}+{key_id}+{encoded[:-4]}",
        f"{name}+{key_id}+B{encoded[1:]}",
        f"{name}+{key_id}+?",
    ):
        with pytest.raises(CheckpointInvalid):
            PublicKey.parse(wrong)
