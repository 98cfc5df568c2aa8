"""Ways to corrupt the personal fields of an export: not signed themselves, but committed to."""

import random
from collections.abc import Callable
from functools import wraps
from uuid import UUID

from domain.personal import PersonalRecord
from tests.infra.ledger.damage import Corrupted, Corruption, copied, other_byte
from tests.infra.ledger.ledgers import Ledger, key_of, line


def _place(ledger: Ledger, kept: bytes) -> int:
    """Of the event whose fields a line holds."""
    stream, version, *_ = kept.split(b" ")
    return [key_of(each) for each in ledger.texts].index((stream, int(version))) + 1


def _row(ledger: Ledger, kept: bytes) -> dict[str, object]:
    return next(row for row in ledger.items if str(row["id"]).encode() == kept[:36])


def fields_of_nothing(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad = copied(ledger)
    stream = rng.choice((str(UUID(int=rng.getrandbits(128))), str(bad.items[0]["id"])))
    bad.personal.append(line(stream, 99, PersonalRecord(rng.randbytes(32), "{}")))
    bad.personal.sort()
    return Corrupted(bad.packed(), len(ledger.texts) + 1, True)


def _of(least: int) -> Callable[[Corruption], Corruption]:
    """For ledgers with at least so many lines. The others get fields of nothing."""

    def of(corrupt: Corruption) -> Corruption:
        @wraps(corrupt)
        def corrupted(rng: random.Random, ledger: Ledger) -> Corrupted:
            enough = len(ledger.personal) >= least
            return corrupt(rng, ledger) if enough else fields_of_nothing(rng, ledger)

        return corrupted

    return of


@_of(1)
def fields_removed(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad = copied(ledger)
    lost = bad.personal.pop(rng.randrange(len(bad.personal)))
    return Corrupted(bad.packed(), _place(ledger, lost), True)


@_of(1)
def fields_removed_as_if_erased(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad = copied(ledger)
    lost = bad.personal.pop(rng.randrange(len(bad.personal)))
    _row(bad, lost).update(file_name=None, r2_key=None)
    return Corrupted(bad.packed(), _place(ledger, lost), True)


@_of(1)
def byte_of_the_fields(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, at = copied(ledger), rng.randrange(len(ledger.personal))
    data = bad.personal[at]
    bad.personal[at] = other_byte(rng, data, rng.randrange(len(data)))
    return Corrupted(bad.packed(), _place(ledger, data), True)


@_of(1)
def another_name_told(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, at = copied(ledger), rng.randrange(len(ledger.personal))
    told = bad.personal[at]
    stream, version, _, fields = told.decode().split(" ", 3)
    other = fields.replace("/originals/", "/originals/other-").replace("The ", "An ")
    bad.personal[at] = line(stream, int(version), PersonalRecord(rng.randbytes(32), other))
    return Corrupted(bad.packed(), _place(ledger, told), True)


@_of(2)
def salts_swapped(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, (one, other) = copied(ledger), rng.sample(range(len(ledger.personal)), 2)
    first, second = (bad.personal[at].split(b" ", 3) for at in (one, other))
    first[2], second[2] = second[2], first[2]
    bad.personal[one], bad.personal[other] = b" ".join(first), b" ".join(second)
    places = [_place(ledger, ledger.personal[at]) for at in (one, other)]
    return Corrupted(bad.packed(), min(places), True)


@_of(2)
def fields_of_another_told(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, (one, other) = copied(ledger), rng.sample(range(len(ledger.personal)), 2)
    head, tail = (bad.personal[at].split(b" ", 2) for at in (one, other))
    bad.personal[one] = b" ".join([*head[:2], tail[2]])
    return Corrupted(bad.packed(), _place(ledger, ledger.personal[one]), True)


def fields_of_an_erased_item(rng: random.Random, ledger: Ledger) -> Corrupted:
    if not ledger.dropped:
        return fields_of_nothing(rng, ledger)
    bad, kept = copied(ledger), rng.choice(ledger.dropped)
    bad.personal.append(kept)
    bad.personal.sort()
    return Corrupted(bad.packed(), _place(ledger, kept), True)


DISCLOSURES: tuple[Corruption, ...] = (
    fields_removed,
    fields_removed_as_if_erased,
    byte_of_the_fields,
    another_name_told,
    salts_swapped,
    fields_of_another_told,
    fields_of_nothing,
    fields_of_an_erased_item,
)
