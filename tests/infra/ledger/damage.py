"""Ways to damage or change the events of an export, without a key."""

import random
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import accumulate
from uuid import UUID

from infra.ledger import bundle
from tests import factories as f
from tests.infra.ledger.ledgers import BEGIN, Ledger, key_of, text, zipped

LOCAL_HEADER_BYTES, DIRECTORY_ENTRY_BYTES, CHECKSUM_AT = 30, 46, 16
"""APPNOTE.TXT, 4.3.7 and 4.3.12: without names."""


@dataclass(frozen=True)
class Corrupted:
    """A bundle, the first place where it is wrong, and whether that can be told exactly."""

    packed: BytesIO
    first: int
    exact: bool
    since: tuple[str, ...] = ()


Corruption = Callable[[random.Random, Ledger], Corrupted]


def copied(ledger: Ledger) -> Ledger:
    return replace(
        ledger,
        texts=list(ledger.texts),
        leaves=list(ledger.leaves),
        notes=list(ledger.notes),
        items=[dict(row) for row in ledger.items],
        personal=list(ledger.personal),
    )


def other_byte(rng: random.Random, data: bytes, at: int) -> bytes:
    changed = data[at] ^ rng.randrange(1, 256)
    return data[:at] + bytes([changed]) + data[at + 1 :]


def any_place(rng: random.Random, ledger: Ledger) -> int:
    return rng.randint(1, len(ledger.texts))


def _in_a_part(rng: random.Random, ledger: Ledger) -> tuple[int, int, int]:
    """A part, a byte in it, and the place of the event whose record has the byte."""
    part = rng.randrange(len(ledger.placed()))
    offset = rng.randrange(len(ledger.part(part)))
    return part, offset, _from_on(ledger, part, offset)[0]


def _from_on(ledger: Ledger, part: int, offset: int) -> list[int]:
    """The places of the events whose records end after a byte of their part."""
    ends = accumulate(len(ledger.record(at)) for at in ledger.placed()[part])
    return [at + 1 for at, end in zip(ledger.placed()[part], ends, strict=True) if offset < end]


def _part_of(ledger: Ledger, seq: int) -> int:
    (part,) = (number for number, part in enumerate(ledger.placed()) if seq - 1 in part)
    return part


def byte_of_an_event(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, seq = copied(ledger), any_place(rng, ledger)
    data = bad.texts[seq - 1]
    bad.texts[seq - 1] = other_byte(rng, data, rng.randrange(len(data)))
    return Corrupted(bad.packed(), seq, True)


def byte_of_a_part(rng: random.Random, ledger: Ledger) -> Corrupted:
    part, at, seq = _in_a_part(rng, ledger)
    return Corrupted(ledger.packed({part: other_byte(rng, ledger.part(part), at)}), seq, True)


def byte_of_the_archive(rng: random.Random, ledger: Ledger) -> Corrupted:
    part, at, seq = _in_a_part(rng, ledger)
    whole = ledger.packed().getvalue()
    damaged = other_byte(rng, whole, whole.index(ledger.part(part)) + at)
    return Corrupted(BytesIO(damaged), seq, False)


def _member(ledger: Ledger, part: int) -> tuple[bytes, zipfile.ZipInfo]:
    """A compressed archive, and where a part of the events stands in it."""
    whole = ledger.packed(compressed=True)
    with zipfile.ZipFile(whole) as archive:
        return whole.getvalue(), archive.getinfo(bundle.events_of(part + 1))


def byte_of_a_compressed_part(rng: random.Random, ledger: Ledger) -> Corrupted:
    part = rng.randrange(len(ledger.placed()))
    whole, info = _member(ledger, part)
    begin = info.header_offset + LOCAL_HEADER_BYTES + len(info.filename)
    # Not the last ones: some bits of those are of no code.
    at = begin + rng.randrange(info.compress_size - 2)
    seq = min(ledger.placed()[part]) + 1
    return Corrupted(BytesIO(other_byte(rng, whole, at)), seq, False)


def checksum_of_a_compressed_part(rng: random.Random, ledger: Ledger) -> Corrupted:
    part = rng.randrange(len(ledger.placed()))
    whole, info = _member(ledger, part)
    named = whole.rindex(info.filename.encode())  # in the directory, which is the last
    at = named - DIRECTORY_ENTRY_BYTES + CHECKSUM_AT + rng.randrange(4)
    seq = min(ledger.placed()[part]) + 1
    return Corrupted(BytesIO(other_byte(rng, whole, at)), seq, False)


def number_changed(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, seq = copied(ledger), any_place(rng, ledger)
    bad.numbers = list(range(1, len(bad.texts) + 1))
    bad.numbers[seq - 1] = rng.choice([n for n in range(len(bad.texts) + 9) if n != seq])
    return Corrupted(bad.packed(), seq, True)


def length_changed(rng: random.Random, ledger: Ledger) -> Corrupted:
    seq = any_place(rng, ledger)
    part, length = _part_of(ledger, seq), len(ledger.texts[seq - 1])
    other = b"\n%d %d\n" % (seq, length + rng.choice([-7, -1, 1, 7, 10**9]))
    events = b"\n" + ledger.part(part)
    events = events.replace(b"\n%d %d\n" % (seq, length), other, 1)[1:]
    return Corrupted(ledger.packed({part: events}), seq, True)


def end_of_a_record_changed(rng: random.Random, ledger: Ledger) -> Corrupted:
    seq = any_place(rng, ledger)
    part, record = _part_of(ledger, seq), ledger.record(seq - 1)
    other = rng.choice((record[:-1] + b"7", other_byte(rng, record, len(record) - 1)))
    return Corrupted(ledger.packed({part: ledger.part(part).replace(record, other)}), seq, True)


def junk_added(rng: random.Random, ledger: Ledger) -> Corrupted:
    part = rng.randrange(len(ledger.placed()))
    records = [*map(ledger.record, ledger.placed()[part])]
    records.insert(rng.randint(0, len(records)), rng.randbytes(rng.randint(0, 60)) + b";")
    return Corrupted(ledger.packed({part: b"".join(records)}), len(ledger.texts) + 1, True)


def removed(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, seq = copied(ledger), any_place(rng, ledger)
    del bad.texts[seq - 1]
    bad.numbers = [number for number in range(1, len(ledger.texts) + 1) if number != seq]
    return Corrupted(bad.packed(), seq, True)


def removed_and_numbered_anew(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, seq = copied(ledger), any_place(rng, ledger)
    del bad.texts[seq - 1]
    return Corrupted(bad.packed(), seq, True)


def removed_with_its_leaf(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, seq = copied(ledger), any_place(rng, ledger)
    del bad.texts[seq - 1], bad.leaves[seq - 1]
    return Corrupted(bad.packed(), seq, False)


def _pair(rng: random.Random, ledger: Ledger) -> tuple[int, int]:
    first, second = sorted(rng.sample(range(1, len(ledger.texts) + 1), 2))
    return first, second


def swap(values: list[bytes], first: int, second: int) -> None:
    values[first - 1], values[second - 1] = values[second - 1], values[first - 1]


def swapped(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, (first, second) = copied(ledger), _pair(rng, ledger)
    swap(bad.texts, first, second)
    return Corrupted(bad.packed(), first, True)


def swapped_with_their_numbers(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad = copied(ledger)
    part, own = rng.choice([each for each in enumerate(bad.placed()) if len(each[1]) > 1])
    bad.swap = (part, *rng.sample(range(len(own)), 2))
    keys = [(b"", 0), *(key_of(bad.texts[at]) for at in bad.placed()[part])]
    after = zip(keys, keys[1:], bad.placed()[part], strict=False)
    wrong = [at + 1 for before, key, at in after if not _follows(before, key)]
    return Corrupted(bad.packed(), min(wrong), True)


def _follows(before: tuple[bytes, int], key: tuple[bytes, int]) -> bool:
    if key[0] == before[0]:
        return key[1] == before[1] + 1
    return key[0] > before[0] and key[1] == 1


def swapped_with_their_leaves(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, (first, second) = copied(ledger), _pair(rng, ledger)
    swap(bad.texts, first, second)
    swap(bad.leaves, first, second)
    return Corrupted(bad.packed(), first, False)


def forged(rng: random.Random) -> bytes:
    stream = UUID(int=rng.getrandbits(128), version=4)
    return text(stream, 1, f.sealed(f.registered()).event, "", BEGIN)


def inserted(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, seq = copied(ledger), any_place(rng, ledger)
    bad.texts.insert(seq - 1, forged(rng))
    return Corrupted(bad.packed(), seq, True)


def inserted_twice(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, seq = copied(ledger), any_place(rng, ledger)
    bad.texts.insert(seq, bad.texts[seq - 1])
    return Corrupted(bad.packed(), seq + 1, True)


def repeated(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, seq = copied(ledger), any_place(rng, ledger)
    bad.numbers = [*range(1, len(bad.texts) + 1), seq]
    bad.texts.append(bad.texts[seq - 1])
    return Corrupted(bad.packed(), seq, True)


def part_repeated(rng: random.Random, ledger: Ledger) -> Corrupted:
    members, placed = dict(ledger.members()), ledger.placed()
    part = rng.randrange(len(placed))
    for member in (bundle.events_of, bundle.items_of, bundle.personal_of):
        members[member(len(placed) + 1)] = members[member(part + 1)]
    return Corrupted(zipped(members.items()), min(placed[part]) + 1, True)


def added_at_a_taken_place(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, seq = copied(ledger), any_place(rng, ledger)
    bad.numbers = [*range(1, len(bad.texts) + 1), seq]
    bad.texts.append(forged(rng))
    return Corrupted(bad.packed(), seq, True)


def added_without_a_leaf(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad = copied(ledger)
    bad.texts.append(forged(rng))
    return Corrupted(bad.packed(), len(bad.texts), True)


def inserted_with_a_leaf(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad, seq = copied(ledger), any_place(rng, ledger)
    bad.texts.insert(seq - 1, forged(rng))
    bad.hashed()
    return Corrupted(bad.packed(), seq, False)


def appended_with_a_leaf(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad = copied(ledger)
    bad.texts.append(forged(rng))
    bad.hashed()
    return Corrupted(bad.packed(), len(bad.texts), True)


def part_cut_off(rng: random.Random, ledger: Ledger) -> Corrupted:
    part, end, _ = _in_a_part(rng, ledger)
    lost = _from_on(ledger, part, end)
    return Corrupted(ledger.packed({part: ledger.part(part)[:end]}), min(lost), True)


def last_part_removed(rng: random.Random, ledger: Ledger) -> Corrupted:
    bad = replace(copied(ledger), streams_per_part=1)
    *_, part = bad.placed()
    members = dict(bad.members())
    for member in (bundle.events_of, bundle.items_of, bundle.personal_of):
        del members[member(len(bad.placed()))]
    return Corrupted(zipped(members.items()), min(part) + 1, True)


DAMAGE: tuple[Corruption, ...] = (
    byte_of_an_event,
    byte_of_a_part,
    byte_of_the_archive,
    byte_of_a_compressed_part,
    checksum_of_a_compressed_part,
    number_changed,
    length_changed,
    end_of_a_record_changed,
    junk_added,
    removed,
    removed_and_numbered_anew,
    removed_with_its_leaf,
    swapped,
    swapped_with_their_numbers,
    swapped_with_their_leaves,
    inserted,
    inserted_twice,
    repeated,
    part_repeated,
    added_at_a_taken_place,
    added_without_a_leaf,
    inserted_with_a_leaf,
    appended_with_a_leaf,
    part_cut_off,
    last_part_removed,
)
