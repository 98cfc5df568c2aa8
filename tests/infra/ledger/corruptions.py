"""Ways to corrupt an export: `damage`, and those that cover their tracks or need a key."""

import random
from collections.abc import Callable
from uuid import UUID

from domain.read_model import project_history
from infra.ledger import bundle
from tests import factories as f
from tests.infra.ledger.damage import (
    DAMAGE,
    Corrupted,
    Corruption,
    any_place,
    copied,
    forged,
    other_byte,
    swap,
)
from tests.infra.ledger.disclosures import DISCLOSURES
from tests.infra.ledger.ledgers import KEY, OTHER_KEY, Ledger, key_of, note, zipped

REGISTERED = (
    "status",
    "creator_id",
    "media_type",
    "file_name",
    "content_type",
    "declared_size",
    "r2_key",
    "deadline_at",
)
"""What a registration sets."""


def tail_removed(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, seq = copied(ledger), any_place(rng, ledger)
    del bad.texts[seq - 1 :], bad.leaves[seq - 1 :]
    return Corrupted(bad.packed(), seq, False)


def tail_removed_with_its_checkpoints(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, seq = copied(ledger), any_place(rng, ledger)
    del bad.texts[seq - 1 :], bad.leaves[seq - 1 :]
    bad.notes = [kept for kept, size in zip(bad.notes, bad.sizes, strict=True) if size < seq]
    return Corrupted(bad.packed(), seq, False, since=(ledger.notes[-1],))


def leaf_changed(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, seq = copied(ledger), any_place(rng, ledger)
    bad.leaves[seq - 1] = other_byte(rng, bad.leaves[seq - 1], rng.randrange(32))
    return Corrupted(bad.packed(), seq, False)


def root_changed(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, at = copied(ledger), rng.randrange(len(ledger.notes))
    bad.notes[at] = KEY.sign(bad.sizes[at], rng.randbytes(32))
    return Corrupted(bad.packed(), bad.sizes[at], False)


def signature_changed(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, at = copied(ledger), rng.randrange(len(ledger.notes))
    start, end = bad.notes[at].rindex(" ") + 1, len(bad.notes[at]) - 1
    place = rng.randrange(start, end)
    wrong = "A" if bad.notes[at][place] != "A" else "B"
    bad.notes[at] = bad.notes[at][:place] + wrong + bad.notes[at][place + 1 :]
    return Corrupted(bad.packed(), bad.sizes[at], False)


def signed_by_another(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad = copied(ledger)
    bad.signed(OTHER_KEY, rng.sample(bad.sizes, rng.randint(1, len(bad.sizes))))
    return Corrupted(bad.packed(), 1, False)


def rewritten_by_who_holds_the_key(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, seq = copied(ledger), any_place(rng, ledger)
    bad.texts[seq - 1] = forged(rng)
    bad.hashed()
    bad.signed(KEY, bad.sizes)
    kept = min(size for size in ledger.sizes if size >= seq)
    return Corrupted(bad.packed(), seq, False, since=(note(ledger.leaves, kept),))


def _sealed_with(
    rng: random.Random, ledger: Ledger, line: int, value: Callable[[bytes], bytes]
) -> Corrupted:
    """A line of a later event changed before all was sealed and signed."""
    bad = copied(ledger)
    later = [seq for seq, each in enumerate(bad.texts, 1) if each.split(b"\n")[2] != b"1"]
    seq = rng.choice(later or [1])
    fields = bad.texts[seq - 1].split(b"\n")
    fields[line] = value(fields[line])
    bad.texts[seq - 1] = b"\n".join(fields)
    bad.hashed()
    bad.signed(KEY, bad.sizes)
    return Corrupted(bad.packed(), seq, True)


def sealed_with_another_predecessor(rng: random.Random, ledger: Ledger) -> Corrupted:
    return _sealed_with(rng, ledger, 13, lambda _: rng.randbytes(32).hex().encode())


def sealed_with_another_version(rng: random.Random, ledger: Ledger) -> Corrupted:
    return _sealed_with(rng, ledger, 2, lambda version: b"%d" % (int(version) + 1))


def sealed_in_another_form(rng: random.Random, ledger: Ledger) -> Corrupted:
    return _sealed_with(rng, ledger, 0, lambda form: form + b"x")


def sealed_into_another_stream(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, at = copied(ledger), _last_of_several(rng, ledger)
    fields = bad.texts[at].split(b"\n")
    fields[1] += b"x"  # which comes next after the right one
    bad.texts[at] = b"\n".join(fields)
    bad.hashed()
    bad.signed(KEY, bad.sizes)
    return Corrupted(bad.packed(), at + 1, True)


def _last_of_several(rng: random.Random, ledger: Ledger) -> int:
    keys = enumerate(map(key_of, ledger.texts))
    ends = {stream: (at, version) for at, (stream, version) in keys}
    return rng.choice([at for at, version in ends.values() if version > 1])


def sealed_in_another_order(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad = copied(ledger)
    keys = [key_of(each) for each in bad.texts]
    stream, version = rng.choice([key for key in keys if key[1] > 1])
    first, second = keys.index((stream, version - 1)) + 1, keys.index((stream, version)) + 1
    swap(bad.texts, first, second)
    bad.hashed()
    bad.signed(KEY, bad.sizes)
    return Corrupted(bad.packed(), first, True)


def sealed_with_a_second_registration(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, at = copied(ledger), _last_of_several(rng, ledger)
    fields = bad.texts[at].split(b"\n")
    fields[4], fields[14] = (forged(rng).split(b"\n")[line] for line in (4, 14))
    bad.texts[at] = b"\n".join(fields)
    bad.hashed()
    bad.signed(KEY, bad.sizes)
    (row,) = (row for row in bad.items if row["id"] == fields[1].decode())
    anew = project_history(UUID(fields[1].decode()), [f.registered()])
    assert anew is not None
    row |= {name: value for name, value in anew.items() if name in REGISTERED}
    return Corrupted(bad.packed(), at + 1, True)


def sealed_with_a_malformed_payload(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, row = copied(ledger), rng.choice(ledger.items)
    seq = _last_of(ledger, row["id"])
    head, _, payload = bad.texts[seq - 1].rpartition(b"\n")
    bad.texts[seq - 1] = head + b"\n" + payload[: rng.randrange(len(payload))]
    bad.hashed()
    bad.signed(KEY, bad.sizes)
    return Corrupted(bad.packed(), seq, True)


def row_changed(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, at = copied(ledger), rng.randrange(len(ledger.items))
    row = bad.items[at]
    name = rng.choice(sorted(row.keys() - {"id", "version"}))
    row[name] = "other" if row[name] != "other" else "another"
    return Corrupted(bad.packed(), _last_of(ledger, row["id"]), True)


def row_removed(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, at = copied(ledger), rng.randrange(len(ledger.items))
    lost = bad.items.pop(at)
    return Corrupted(bad.packed(), _last_of(ledger, lost["id"]), False)


def row_shown_twice(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, at = copied(ledger), rng.randrange(len(ledger.items))
    bad.items.insert(at, dict(bad.items[at]))
    return Corrupted(bad.packed(), _last_of(ledger, bad.items[at]["id"]), True)


def streams_swapped_with_their_rows(rng: random.Random, ledger: Ledger) -> Corrupted:
    part = rng.choice(
        [n for n, own in enumerate(ledger.placed()) if len(_streams(ledger, own)) > 1]
    )
    own = ledger.placed()[part]
    first, _ = _streams(ledger, own)
    members = dict(ledger.members())
    rows = members[bundle.items_of(part + 1)].splitlines(keepends=True)
    members[bundle.items_of(part + 1)] = b"".join(reversed(rows))
    own.sort(key=lambda at: key_of(ledger.texts[at])[0], reverse=True)
    members[bundle.events_of(part + 1)] = b"".join(map(ledger.record, own))
    return Corrupted(zipped(members.items()), _first_of(ledger, first), True)


def _streams(ledger: Ledger, own: list[int]) -> list[bytes]:
    return sorted({key_of(ledger.texts[at])[0] for at in own})


def _first_of(ledger: Ledger, stream: bytes) -> int:
    return [key_of(each) for each in ledger.texts].index((stream, 1)) + 1


def row_of_nothing(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, stream = copied(ledger), UUID(int=rng.getrandbits(128), version=4)
    bad.items.append(rng.choice(bad.items) | {"id": str(stream)})
    bad.items.sort(key=lambda row: str(row["id"]))
    return Corrupted(bad.packed(), len(ledger.texts) + 1, True)


def line_among_the_rows(rng: random.Random, ledger: Ledger) -> Corrupted:
    members = dict(ledger.members())
    name = bundle.items_of(rng.randint(1, len(ledger.placed())))
    members[name] += rng.choice((b"{}", b"[]", b"null", b"\xff", b"{", b'{"id":"x"}')) + b"\n"
    return Corrupted(zipped(members.items()), len(ledger.texts), True)


def _last_of(ledger: Ledger, stream: object) -> int:
    own = [seq for seq, each in enumerate(ledger.texts, 1) if f"\n{stream}\n".encode() in each]
    return own[-1]


CORRUPTIONS: tuple[Corruption, ...] = (
    *DAMAGE,
    tail_removed,
    tail_removed_with_its_checkpoints,
    leaf_changed,
    root_changed,
    signature_changed,
    signed_by_another,
    rewritten_by_who_holds_the_key,
    sealed_with_another_predecessor,
    sealed_with_another_version,
    sealed_in_another_form,
    sealed_with_a_malformed_payload,
    sealed_into_another_stream,
    sealed_in_another_order,
    sealed_with_a_second_registration,
    row_changed,
    row_removed,
    row_shown_twice,
    streams_swapped_with_their_rows,
    row_of_nothing,
    line_among_the_rows,
    *DISCLOSURES,
)
