"""Ways to corrupt an export, clumsy ones and ones that cover their tracks."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from uuid import UUID

from tests import factories as f
from tests.infra.ledger.ledgers import BEGIN, KEY, OTHER_KEY, Ledger, note, text


@dataclass(frozen=True)
class Corrupted:
    """A bundle, the first place where it is wrong, and whether that can be told exactly."""

    packed: BytesIO
    first: int
    exact: bool
    since: tuple[str, ...] = ()


Corruption = Callable[[random.Random, Ledger], Corrupted]


def _copy(ledger: Ledger) -> Ledger:
    return replace(
        ledger,
        texts=list(ledger.texts),
        leaves=list(ledger.leaves),
        notes=list(ledger.notes),
        items=[dict(row) for row in ledger.items],
    )


def _other_byte(rng: random.Random, data: bytes, at: int) -> bytes:
    changed = data[at] ^ rng.randrange(1, 256)
    return data[:at] + bytes([changed]) + data[at + 1 :]


def _place(rng: random.Random, ledger: Ledger) -> int:
    return rng.randint(1, len(ledger.texts))


def _record_at(ledger: Ledger, offset: int) -> int:
    """The record that the byte at `offset` of events.txt belongs to."""
    for seq in range(1, len(ledger.texts) + 1):
        if offset < len(Ledger(texts=ledger.texts[:seq]).events()):
            return seq
    return len(ledger.texts) + 1


def byte_of_an_event(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, seq = _copy(ledger), _place(rng, ledger)
    data = bad.texts[seq - 1]
    bad.texts[seq - 1] = _other_byte(rng, data, rng.randrange(len(data)))
    return Corrupted(bad.packed(), seq, True)


def byte_of_the_file(rng: random.Random, ledger: Ledger) -> Corrupted:
    events = ledger.events()
    at = rng.randrange(len(events))
    seq = _record_at(ledger, at)
    return Corrupted(ledger.packed(_other_byte(rng, events, at)), seq, True)


def byte_of_the_archive(rng: random.Random, ledger: Ledger) -> Corrupted:
    events, whole = ledger.events(), ledger.packed().getvalue()
    at = rng.randrange(len(events))
    damaged = _other_byte(rng, whole, whole.index(events) + at)
    return Corrupted(BytesIO(damaged), _record_at(ledger, at), False)


def number_changed(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, seq = _copy(ledger), _place(rng, ledger)
    bad.numbers = list(range(1, len(bad.texts) + 1))
    bad.numbers[seq - 1] += rng.randint(1, 9)
    return Corrupted(bad.packed(), seq, True)


def length_changed(rng: random.Random, ledger: Ledger) -> Corrupted:
    seq = _place(rng, ledger)
    before = len(Ledger(texts=ledger.texts[: seq - 1]).events())
    head, events = ledger.events()[:before], ledger.events()[before:]
    length = len(ledger.texts[seq - 1])
    other = b"\n%d %d\n" % (seq, length + rng.choice([-7, -1, 1, 7, 10**9]))
    events = (b"\n" + events).replace(b"\n%d %d\n" % (seq, length), other, 1)[1:]
    return Corrupted(ledger.packed(head + events), seq, True)


def end_of_a_record_changed(rng: random.Random, ledger: Ledger) -> Corrupted:
    seq = _place(rng, ledger)
    end = len(Ledger(texts=ledger.texts[:seq]).events()) - 1
    return Corrupted(ledger.packed(_other_byte(rng, ledger.events(), end)), seq, True)


def junk_appended(rng: random.Random, ledger: Ledger) -> Corrupted:
    junk = rng.randbytes(rng.randint(1, 60))
    return Corrupted(ledger.packed(ledger.events() + junk), len(ledger.texts) + 1, True)


def removed(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, seq = _copy(ledger), _place(rng, ledger)
    del bad.texts[seq - 1]
    bad.numbers = [number for number in range(1, len(ledger.texts) + 1) if number != seq]
    return Corrupted(bad.packed(), seq, True)


def removed_and_numbered_anew(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, seq = _copy(ledger), _place(rng, ledger)
    del bad.texts[seq - 1]
    return Corrupted(bad.packed(), seq, True)


def removed_with_its_leaf(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, seq = _copy(ledger), _place(rng, ledger)
    del bad.texts[seq - 1], bad.leaves[seq - 1]
    return Corrupted(bad.packed(), seq, False)


def _pair(rng: random.Random, ledger: Ledger) -> tuple[int, int]:
    first, second = sorted(rng.sample(range(1, len(ledger.texts) + 1), 2))
    return first, second


def _swap(values: list[bytes], first: int, second: int) -> None:
    values[first - 1], values[second - 1] = values[second - 1], values[first - 1]


def swapped(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, (first, second) = _copy(ledger), _pair(rng, ledger)
    _swap(bad.texts, first, second)
    return Corrupted(bad.packed(), first, True)


def swapped_with_their_numbers(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, (first, second) = _copy(ledger), _pair(rng, ledger)
    _swap(bad.texts, first, second)
    bad.numbers = list(range(1, len(bad.texts) + 1))
    bad.numbers[first - 1], bad.numbers[second - 1] = second, first
    return Corrupted(bad.packed(), first, True)


def swapped_with_their_leaves(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, (first, second) = _copy(ledger), _pair(rng, ledger)
    _swap(bad.texts, first, second)
    _swap(bad.leaves, first, second)
    return Corrupted(bad.packed(), first, False)


def _forged(rng: random.Random) -> bytes:
    stream = UUID(int=rng.getrandbits(128), version=4)
    return text(stream, 1, f.registered(), "", BEGIN)


def inserted(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, seq = _copy(ledger), _place(rng, ledger)
    bad.texts.insert(seq - 1, _forged(rng))
    return Corrupted(bad.packed(), seq, True)


def inserted_twice(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, seq = _copy(ledger), _place(rng, ledger)
    bad.texts.insert(seq, bad.texts[seq - 1])
    return Corrupted(bad.packed(), seq + 1, True)


def inserted_with_a_leaf(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, seq = _copy(ledger), _place(rng, ledger)
    bad.texts.insert(seq - 1, _forged(rng))
    bad.hashed()
    return Corrupted(bad.packed(), seq, False)


def appended_with_a_leaf(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad = _copy(ledger)
    bad.texts.append(_forged(rng))
    bad.hashed()
    return Corrupted(bad.packed(), len(bad.texts), True)


def file_cut_off(rng: random.Random, ledger: Ledger) -> Corrupted:
    events = ledger.events()
    end = rng.randrange(len(events))
    return Corrupted(ledger.packed(events[:end]), _record_at(ledger, end), True)


def tail_removed(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, seq = _copy(ledger), _place(rng, ledger)
    del bad.texts[seq - 1 :], bad.leaves[seq - 1 :]
    return Corrupted(bad.packed(), seq, False)


def tail_removed_with_its_checkpoints(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, seq = _copy(ledger), _place(rng, ledger)
    del bad.texts[seq - 1 :], bad.leaves[seq - 1 :]
    bad.notes = [kept for kept, size in zip(bad.notes, bad.sizes, strict=True) if size < seq]
    return Corrupted(bad.packed(), seq, False, since=(ledger.notes[-1],))


def leaf_changed(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, seq = _copy(ledger), _place(rng, ledger)
    bad.leaves[seq - 1] = _other_byte(rng, bad.leaves[seq - 1], rng.randrange(32))
    return Corrupted(bad.packed(), seq, False)


def root_changed(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, at = _copy(ledger), rng.randrange(len(ledger.notes))
    bad.notes[at] = KEY.sign(bad.sizes[at], rng.randbytes(32))
    return Corrupted(bad.packed(), bad.sizes[at], False)


def signature_changed(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, at = _copy(ledger), rng.randrange(len(ledger.notes))
    start, end = bad.notes[at].rindex(" ") + 1, len(bad.notes[at]) - 1
    place = rng.randrange(start, end)
    wrong = "A" if bad.notes[at][place] != "A" else "B"
    bad.notes[at] = bad.notes[at][:place] + wrong + bad.notes[at][place + 1 :]
    return Corrupted(bad.packed(), bad.sizes[at], False)


def signed_by_another(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad = _copy(ledger)
    bad.signed(OTHER_KEY, rng.sample(bad.sizes, rng.randint(1, len(bad.sizes))))
    return Corrupted(bad.packed(), 1, False)


def rewritten_by_who_holds_the_key(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, seq = _copy(ledger), _place(rng, ledger)
    bad.texts[seq - 1] = _forged(rng)
    bad.hashed()
    bad.signed(KEY, bad.sizes)
    kept = min(size for size in ledger.sizes if size >= seq)
    return Corrupted(bad.packed(), seq, False, since=(note(ledger.leaves, kept),))


def _sealed_with(
    rng: random.Random, ledger: Ledger, line: int, value: Callable[[bytes], bytes]
) -> Corrupted:
    """A line of a later event changed before all was sealed and signed."""
    bad = _copy(ledger)
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


def sealed_with_a_malformed_payload(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, row = _copy(ledger), rng.choice(ledger.items)
    seq = _last_of(ledger, row["id"])
    head, _, payload = bad.texts[seq - 1].rpartition(b"\n")
    bad.texts[seq - 1] = head + b"\n" + payload[: rng.randrange(len(payload))]
    bad.hashed()
    bad.signed(KEY, bad.sizes)
    return Corrupted(bad.packed(), seq, True)


def row_changed(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, at = _copy(ledger), rng.randrange(len(ledger.items))
    row = bad.items[at]
    name = rng.choice(sorted(row.keys() - {"id", "version"}))
    row[name] = "other" if row[name] != "other" else "another"
    return Corrupted(bad.packed(), _last_of(ledger, row["id"]), True)


def row_removed(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, at = _copy(ledger), rng.randrange(len(ledger.items))
    lost = bad.items.pop(at)
    return Corrupted(bad.packed(), _last_of(ledger, lost["id"]), False)


def row_shown_twice(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad = _copy(ledger)
    bad.items.append(rng.choice(bad.items))
    return Corrupted(bad.packed(), _last_of(ledger, bad.items[-1]["id"]), True)


def _last_of(ledger: Ledger, stream: object) -> int:
    own = [seq for seq, each in enumerate(ledger.texts, 1) if f"\n{stream}\n".encode() in each]
    return own[-1]


CORRUPTIONS: tuple[Corruption, ...] = (
    byte_of_an_event,
    byte_of_the_file,
    byte_of_the_archive,
    number_changed,
    length_changed,
    end_of_a_record_changed,
    junk_appended,
    removed,
    removed_and_numbered_anew,
    removed_with_its_leaf,
    swapped,
    swapped_with_their_numbers,
    swapped_with_their_leaves,
    inserted,
    inserted_twice,
    inserted_with_a_leaf,
    appended_with_a_leaf,
    file_cut_off,
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
    row_changed,
    row_removed,
    row_shown_twice,
)
