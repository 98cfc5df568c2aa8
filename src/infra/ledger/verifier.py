"""Verify a bundle offline. Needs the standard library, Ed25519, and the fold of the domain.

What is checked, in this order. docs/audit.md says what each proves.

1. Signatures   every checkpoint is signed by one of the keys
2. Tree         the leaves have the root that each checkpoint states, and each one that was kept
                from earlier: so nothing that a checkpoint covers was changed, removed, moved or
                added. The leaves reach the newest checkpoint.
3. Events       each event has the hash of its leaf, is the next of its stream, and names the hash
                of the one before
4. Projection   the exported rows are what the events fold to (`infra.ledger.projection`)
"""

import multiprocessing
import os
import zipfile
import zlib
from binascii import hexlify
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import IO, NamedTuple

from infra.ledger import bundle, checkpoint, merkle
from infra.ledger.bundle import BundleUnreadable
from infra.ledger.checkpoint import Checkpoint, CheckpointInvalid, PublicKey
from infra.ledger.projection import Share, Wrong, check_file, check_projection

FORM = b"codex-media.event.v1"
PARALLEL_EVENTS = 100_000
"""From here on folding, the slowest part, is shared by all cores: starting them takes a second."""
STEP = 4096
"""Events between two calls of `advance`."""

PASSES = 3
Advance = Callable[[int], None]
"""Called with how many more events were gone through."""


class Finding(NamedTuple):
    """What is wrong. `first` is the first wrong place in the ledger, or the first that may be."""

    first: int
    last: int
    what: str

    def __str__(self) -> str:
        if self.first == self.last:
            return f"event {self.first}: {self.what}"
        return f"somewhere in events {self.first} to {self.last}: {self.what}"


@dataclass
class Verdict:
    """What was found. Without a finding, the events up to `covered` are proven."""

    events: int = 0
    covered: int = 0
    """How many events the newest checkpoint covers."""
    checkpoints: int = 0
    streams: int = 0
    keys: tuple[PublicKey, ...] = ()
    key_is_the_bundles_own: bool = False
    """Nobody said which key to expect: whoever made the bundle may have signed it."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    @property
    def first_wrong(self) -> Finding | None:
        """The finding at the first place."""
        return min(self.findings, default=None)

    @property
    def uncovered(self) -> range:
        """The events that no checkpoint covers yet."""
        return range(self.covered + 1, self.events + 1)


class Mark(NamedTuple):
    """A root that the tree must have at some size."""

    stated: Checkpoint
    kept: bool
    """From an earlier export: the key's holder could not sign it anew."""

    def __str__(self) -> str:
        origin = "the checkpoint kept from earlier" if self.kept else "the checkpoint"
        return f"{origin} of size {self.stated.size}"


def verify(
    source: Path | IO[bytes],
    keys: Sequence[PublicKey] = (),
    since: Sequence[str] = (),
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Verdict:
    """Check the bundle in `source`; `BundleUnreadable` when it is none.

    `keys` are those that may have signed; without any, the bundle's own is taken. `since` are
    checkpoints that were kept from earlier exports. `progress` is told how much of all is done.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            advance = _advance(progress, PASSES * archive.getinfo(bundle.LEAVES).file_size // 32)
            return _verify(archive, keys, since, advance)
    except (zipfile.BadZipFile, zlib.error, KeyError, UnicodeDecodeError, EOFError) as error:
        raise BundleUnreadable(f"the file is not a whole bundle: {error}") from error


def _advance(progress: Callable[[int, int], None], total: int) -> Advance:
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress(done, total)

    return advance


def _verify(
    archive: zipfile.ZipFile, keys: Sequence[PublicKey], since: Sequence[str], advance: Advance
) -> Verdict:
    verdict = Verdict(keys=tuple(keys), key_is_the_bundles_own=not keys)
    if not keys:
        verdict.keys = (PublicKey.parse(archive.read(bundle.KEY).decode()),)
    notes = bundle.notes(archive.read(bundle.CHECKPOINTS).decode())
    marks = list(check_signatures(notes, verdict))
    verdict.checkpoints = len(marks)
    verdict.covered = max((mark.stated.size for mark in marks), default=0)
    marks += check_signatures(since, verdict, kept=True)
    with archive.open(bundle.LEAVES) as leaves:
        proven = check_tree(bundle.leaves(leaves), marks, verdict, advance)
    with archive.open(bundle.LEAVES) as leaves, archive.open(bundle.EVENTS) as events:
        check_events(bundle.records(events), bundle.leaves(leaves), proven, verdict, advance)
    if verdict.ok and verdict.events and not verdict.checkpoints:
        verdict.findings.append(Finding(1, verdict.events, "no checkpoint covers them"))
    if verdict.ok:
        wrong = _check_projection(archive, verdict.events, advance)
        verdict.findings += sorted(Finding(*each) for each in wrong)
    return verdict


def _check_projection(archive: zipfile.ZipFile, events: int, advance: Advance) -> list[Wrong]:
    cores = os.cpu_count() or 1
    if events < PARALLEL_EVENTS or cores == 1 or archive.filename is None:
        with archive.open(bundle.EVENTS) as found, archive.open(bundle.ITEMS) as items:
            return check_projection(bundle.records(found), items, advance)
    wrong: list[Wrong] = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(cores, mp_context=context) as processes:
        shares = [Share(number, cores) for number in range(cores)]
        for part in processes.map(check_file, [Path(archive.filename)] * cores, shares):
            wrong += part
            advance(events // cores)
    return wrong


def check_signatures(
    notes: Iterable[str], verdict: Verdict, *, kept: bool = False
) -> Iterator[Mark]:
    """What the notes state; those that are not signed are found wrong."""
    before = 0
    for note in notes:
        try:
            mark = Mark(checkpoint.read(note), kept)
        except CheckpointInvalid as error:
            what = f"no checkpoint can be read after that of size {before}: {error}"
            verdict.findings.append(Finding(before + 1, before + 1, what))
            return
        if not any(_is_signed(note, key) for key in verdict.keys):
            what = f"{mark} is not signed by {_names(verdict.keys)}"
            verdict.findings.append(Finding(before + 1, max(mark.stated.size, before + 1), what))
        before = mark.stated.size
        yield mark


def _is_signed(note: str, key: PublicKey) -> bool:
    try:
        checkpoint.verify(note, key)
    except CheckpointInvalid:
        return False
    return True


def _names(keys: Iterable[PublicKey]) -> str:
    return " or ".join(f"{key.name} ({key.key_id.hex()})" for key in keys)


def check_tree(
    leaves: Iterator[bytes], marks: Iterable[Mark], verdict: Verdict, advance: Advance
) -> int:
    """Up to which size the leaves are proven by checkpoints; counts the events."""
    size = proven = proven_by_kept = 0
    frontier: list[bytes] = []
    for mark in sorted(marks, key=lambda mark: mark.stated.size):
        stated = mark.stated
        while size < stated.size:
            batch = list(islice(leaves, min(STEP, stated.size - size)))
            if not batch:
                break
            frontier = merkle.extend(size, frontier, batch)
            size += len(batch)
            advance(len(batch))
        first = 1 + (proven_by_kept if mark.kept else proven)
        if size < stated.size:
            what = f"the ledger ends after event {size}, and {mark} covers more"
            verdict.findings.append(Finding(first, stated.size, what))
            break
        if merkle.root(frontier) != stated.root:
            what = f"the ledger is not the one that {mark} was signed for"
            verdict.findings.append(Finding(first, size, what))
            break
        proven, proven_by_kept = size, size if mark.kept else proven_by_kept
    rest = sum(1 for _ in leaves)
    advance(rest)
    verdict.events = size + rest
    return proven


class Head(NamedTuple):
    """The newest event of a stream so far."""

    version: int
    hash: bytes
    """In hexadecimal, as the next event names it."""
    seq: int


NOTHING = Head(0, b"", 0)


def check_events(
    records: Iterator[bundle.Record],
    leaves: Iterator[bytes],
    proven: int,
    verdict: Verdict,
    advance: Advance,
) -> None:
    """Each event against its leaf and against the one before it in its stream."""
    heads: dict[bytes, tuple[int, bytes, int]] = {}  # plain tuples: a third of the time
    seq = 0
    try:
        for seq, text in records:
            digest = sha256(text).digest()
            if digest != next(leaves, b""):
                verdict.findings.append(Finding(seq, seq, _mismatch(seq, proven, verdict)))
                return
            fields = text.split(b"\n", bundle.FIELDS - 1)
            if len(fields) != bundle.FIELDS or fields[0] != FORM:
                verdict.findings.append(Finding(seq, seq, "it does not have an event's form"))
                return
            version, prev_hash, prev_seq = heads.get(fields[1], NOTHING)
            if fields[2] != b"%d" % (version + 1) or fields[13] != prev_hash:
                before = Head(version, prev_hash, prev_seq)
                verdict.findings.append(_broken_chain(seq, fields, before, proven))
                return
            heads[fields[1]] = (version + 1, hexlify(digest), seq)
            if not seq % STEP:
                advance(STEP)
    except bundle.RecordBroken as broken:
        verdict.findings.append(Finding(broken.seq, broken.seq, str(broken)))
        return
    except (zipfile.BadZipFile, zlib.error) as error:
        what = f"the archive is damaged ({error})"
        verdict.findings.append(Finding(seq + 1, max(verdict.events, seq + 1), what))
        return
    verdict.streams = len(heads)
    advance(seq % STEP)
    if seq < verdict.events:
        verdict.findings.append(Finding(seq + 1, seq + 1, "it is missing: the events end before"))


def _mismatch(seq: int, proven: int, verdict: Verdict) -> str:
    if seq > verdict.events:
        return "it has no leaf: it was added"
    if seq <= proven:
        return "it is not the event that was signed: its hash is not that of its leaf"
    return "its hash is not that of its leaf"


def _broken_chain(seq: int, fields: list[bytes], before: Head, proven: int) -> Finding:
    stream, version = fields[1].decode("utf-8", "replace"), fields[2].decode("utf-8", "replace")
    if fields[2] != b"%d" % (before.version + 1):
        what = f"it is version {version} of {stream}, which is at version {before.version}"
        return Finding(seq, seq, what)
    # The one that is older than a checkpoint is proven; of two that are not, it may be either.
    first = seq if before.seq <= proven else before.seq
    what = f"event {seq} does not follow event {before.seq} of {stream}: it names another hash"
    return Finding(first, seq, what)
