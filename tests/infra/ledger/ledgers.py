"""Ledgers in memory, and the bundles they make, as the service would export them."""

import json
import random
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from io import BytesIO
from typing import Any
from uuid import UUID

import rfc8785

from domain.events import Event
from domain.media import fold
from domain.personal import SALT_BYTES, PersonalRecord
from domain.read_model import project_history
from domain.sealing import Sealed
from infra.ledger import bundle, merkle
from infra.ledger.checkpoint import SigningKey
from tests import factories as f
from tests.infra.lives import LIVES, naming_what_goes

KEY = SigningKey("ledger.test", b"k" * 32)
OTHER_KEY = SigningKey("ledger.test", b"o" * 32)
BEGIN = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
NAMES = ("holiday.mp4", "Führung — 2.mp4", 'a "quoted" \\ name', "日本語.mov", "line\nbreak")


def seeded(seed: int | str) -> random.Random:
    """The same chances in every run."""
    return random.Random(seed)  # noqa: S311 - not for secrets


@dataclass
class Ledger:
    """Every part of a bundle, to be put together rightly or wrongly."""

    texts: list[bytes] = field(default_factory=list)
    leaves: list[bytes] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    items: list[dict[str, object]] = field(default_factory=list)
    personal: list[bytes] = field(default_factory=list)
    """The lines of the personal fields, in the order of their streams and versions."""
    dropped: list[bytes] = field(default_factory=list)
    """Such lines of the erased items, which no bundle has."""
    sizes: list[int] = field(default_factory=list)
    """What the checkpoints cover."""
    key: str = str(KEY.public)
    numbers: list[int] | None = None
    """The records' numbers, where they are not 1, 2, 3 …"""

    streams_per_part: int = 2
    swap: tuple[int, int, int] | None = None
    """A part, and two records in it that stand in each other's place."""

    def placed(self) -> list[list[int]]:
        """The parts, each as the numbers of the texts in it, counted from 0."""
        parts: list[list[int]] = [[]]
        streams: list[bytes] = []
        for at in sorted(range(len(self.texts)), key=lambda at: key_of(self.texts[at])):
            stream, _ = key_of(self.texts[at])
            if stream not in streams:
                if len(streams) == self.streams_per_part:
                    parts.append([])
                    streams = []
                streams.append(stream)
            parts[-1].append(at)
        if self.swap:
            part, first, second = self.swap
            own = parts[part]
            own[first], own[second] = own[second], own[first]
        return parts

    def record(self, at: int) -> bytes:
        """A text's record."""
        number = self.numbers[at] if self.numbers else at + 1
        return bundle.Record(number, self.texts[at]).encoded()

    def part(self, number: int) -> bytes:
        """The events of a part, counted from 0."""
        return b"".join(map(self.record, self.placed()[number]))

    def members(self, replaced: dict[int, bytes] | None = None) -> Iterator[tuple[str, bytes]]:
        """What the zip holds, with other bytes as events of some parts."""
        yield bundle.FORM_NAME, bundle.FORM
        yield bundle.KEY, self.key.encode()
        yield bundle.CHECKPOINTS, "".join(f"{note}\n" for note in self.notes).encode()
        rows, fields = list(self.items), list(self.personal)
        placed = self.placed()
        for number, part in enumerate(placed):
            events = (replaced or {}).get(number, self.part(number))
            last = max((key_of(self.texts[at])[0] for at in part), default=b"")
            to = last.decode(errors="replace")
            own = rows if number == len(placed) - 1 else [r for r in rows if str(r["id"]) <= to]
            rows = [row for row in rows if row not in own]
            yield bundle.events_of(number + 1), events
            yield bundle.items_of(number + 1), "".join(f"{json.dumps(r)}\n" for r in own).encode()
            kept = [line for line in fields if number == len(placed) - 1 or line[:36] <= last]
            fields = fields[len(kept) :]
            yield bundle.personal_of(number + 1), b"".join(line + b"\n" for line in kept)
        yield bundle.LEAVES, b"".join(self.leaves)

    def packed(
        self, replaced: dict[int, bytes] | None = None, *, compressed: bool = False
    ) -> BytesIO:
        """The zip."""
        return zipped(self.members(replaced), compressed=compressed)

    def hashed(self) -> None:
        """Make the leaves anew."""
        self.leaves = [sha256(text).digest() for text in self.texts]

    def signed(self, key: SigningKey, sizes: Iterable[int]) -> None:
        """Make the checkpoints anew."""
        self.sizes = sorted(sizes)
        self.key = str(key.public)
        self.notes = [note(self.leaves, size, key) for size in self.sizes]


def key_of(text: bytes) -> tuple[bytes, int]:
    """What an export orders a text by: its stream and version, as far as it tells them."""
    _, stream, version, *_ = [*text.split(b"\n"), b"", b"", b""]
    return stream, int(version) if version.isdigit() else 0


def zipped(members: Iterable[tuple[str, bytes]], *, compressed: bool = False) -> BytesIO:
    """A zip of these members."""
    packed = BytesIO()
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(packed, "w", method, compresslevel=1) as archive:
        for name, data in members:
            archive.writestr(name, data)
    packed.seek(0)
    return packed


def note(leaves: Sequence[bytes], size: int, key: SigningKey = KEY) -> str:
    """The checkpoint of the first `size` leaves."""
    return key.sign(size, merkle.root(merkle.extend(0, [], leaves[:size])))


def text(stream: UUID, version: int, event: Event, prev_hash: str, moment: datetime) -> bytes:
    """What is hashed of an event, as migrations/0001_history.sql defines it."""
    payload: Any = event.payload()  # rfc8785 names its JSON type privately
    written = moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    lines = (
        "codex-media.event.v1",
        str(stream),
        str(version),
        str(UUID(int=stream.int ^ version)),
        event.type,
        str(event.schema_version),
        f"creator:{f.CREATOR}",
        str(UUID(int=version)),
        "",
        f.TRACEPARENT if version % 2 else "",
        "ab" * 32 if version % 3 == 0 else "",
        written,
        written,
        prev_hash,
        rfc8785.dumps(payload).decode(),
    )
    return "\n".join(lines).encode()


def make(rng: random.Random, streams: int, every: int, *, covered: bool = False) -> Ledger:
    """A ledger of so many lives side by side, with a checkpoint about every `every` events."""
    waiting = [_life(rng, UUID(int=rng.getrandbits(128), version=4)) for _ in range(streams)]
    heads: dict[UUID, tuple[int, str, datetime, datetime, list[Event]]] = {}
    kept: dict[tuple[str, int], PersonalRecord] = {}
    made, moment = Ledger(), BEGIN
    while waiting:
        at = rng.randrange(len(waiting))
        stream, events = waiting[at]
        event = events.pop(0)
        if not events:
            waiting[at] = waiting[-1]
            waiting.pop()
        moment += timedelta(microseconds=rng.randrange(1, 10**7))
        version, prev_hash, born, _, history = heads.get(stream, (0, "", moment, moment, []))
        event, record = sealed(rng, event, history)
        if record is not None:
            kept[str(stream), version + 1] = record
        made.texts.append(text(stream, version + 1, event, prev_hash, moment))
        digest = sha256(made.texts[-1]).hexdigest()
        heads[stream] = (version + 1, digest, born, moment, [*history, event])
    made.hashed()
    made.items = [_row(stream, *head[2:]) for stream, head in sorted(heads.items())]
    gone = {row["id"] for row in made.items if row["status"] == "erased"}
    for stream_id, number in sorted(kept):
        lines = made.dropped if stream_id in gone else made.personal
        lines.append(line(stream_id, number, kept[stream_id, number]))
    total = len(made.texts)
    sizes = set(range(every, total + 1, every)) | {rng.randint(1, total)}
    made.signed(KEY, sizes | {total} if covered or rng.random() < 0.5 else sizes)
    return made


def sealed(rng: random.Random, event: Event, history: list[Event]) -> Sealed:
    """The event as it is stored after `history`."""
    item = fold(history)
    named = naming_what_goes(event, item.commitments) if item else event
    return f.sealed(named, rng.randbytes(SALT_BYTES))


def line(stream: str, version: int, record: PersonalRecord) -> bytes:
    """The line of an event's personal fields."""
    return f"{stream} {version} {record.salt.hex()} {record.fields_json}".encode()


def _life(rng: random.Random, stream: UUID) -> tuple[UUID, list[Event]]:
    events = [event for part in rng.choice(list(LIVES.values())) for event in part]
    named = f.registered(file_name=rng.choice(NAMES))
    return stream, [named, *events[1 : rng.randint(1, len(events))]]


def _row(
    stream: UUID, born: datetime, changed: datetime, history: list[Event]
) -> dict[str, object]:
    row = project_history(stream, history)
    assert row is not None
    return {**row, "created_at": born.isoformat(), "updated_at": changed.isoformat()}
