"""What events commit to: every change of it is found, and a lack that no erasure explains."""

from dataclasses import replace

import pytest

from infra.ledger import bundle
from infra.ledger.verifier import verify
from tests.infra.ledger.damage import Corruption, copied
from tests.infra.ledger.disclosures import DISCLOSURES
from tests.infra.ledger.ledgers import KEY, Ledger, key_of, make, seeded, zipped

EACH = 25
"""Corruptions of a kind: 200 in all."""


def a_ledger(seed: int) -> Ledger:
    return make(seeded(seed), 6, 5, covered=True)


@pytest.mark.parametrize("corrupt", DISCLOSURES, ids=lambda each: each.__name__)
def test_every_change_is_found_at_its_event(corrupt: Corruption) -> None:
    rng = seeded(corrupt.__name__)
    ledgers = [a_ledger(seed) for seed in range(5)]
    for _ in range(EACH):
        bad = corrupt(rng, rng.choice(ledgers))
        found = verify(bad.packed, [KEY.public]).first_wrong
        assert found is not None
        assert found.first == bad.first == found.last, (found, bad.first)


def test_findings_say_what_is_wrong() -> None:
    ledger = next(each for each in map(a_ledger, range(99)) if each.personal and each.dropped)
    lost, changed, kept = copied(ledger), copied(ledger), copied(ledger)
    del lost.personal[0]
    changed.personal[0] = changed.personal[0].replace(b"originals", b"0riginals")
    changed.personal[0] = changed.personal[0].replace(b"stopped", b"st0pped")
    kept.personal = sorted([*kept.personal, kept.dropped[0]])
    said = {
        "missing, and no event says that": lost,
        "not those that it commits to": changed,
        "still there, though": kept,
    }
    for words, bad in said.items():
        found = verify(bad.packed(), [KEY.public]).findings
        assert [words in each.what for each in found] == [True], found


def test_erasure_that_names_other_commitments_is_told() -> None:
    ledger = next(each for each in map(a_ledger, range(99)) if each.dropped)
    at = next(at for at, each in enumerate(ledger.texts) if b"\nmedia.erased\n" in each)
    ledger.texts[at] = ledger.texts[at].replace(b'"commitments":["', b'"commitments":["00')
    ledger.hashed()
    ledger.signed(KEY, ledger.sizes)
    (found,) = verify(ledger.packed(), [KEY.public]).findings
    assert (found.first, "names other commitments" in found.what) == (at + 1, True)


def test_bundle_of_the_form_before_is_read_and_may_commit_to_nothing() -> None:
    ledger = a_ledger(1)
    old = dict(ledger.members()) | {bundle.FORM_NAME: bundle.FORM_WITHOUT_PERSONAL}
    old = {name: data for name, data in old.items() if not name.startswith("personal/")}
    found = verify(zipped(old.items()), [KEY.public]).findings
    missing = [
        number
        for number, text in enumerate(ledger.texts, 1)
        if any(line.split(b" ")[:2] == [*map(_told, key_of(text))] for line in ledger.personal)
    ]
    assert [each.first for each in found] == missing
    assert verify(replace(Ledger(), personal=[]).packed(), [KEY.public]).ok


def _told(part: bytes | int) -> bytes:
    return part if isinstance(part, bytes) else b"%d" % part
