"""Verify a bundle offline. Needs the standard library, Ed25519 and a JSON parser.

What is checked. docs/audit.md says what each proves.

1. Signatures   every checkpoint is signed by one of the keys
2. Tree         the leaves have the root that each checkpoint states, and each one that was kept
                from earlier: so nothing that a checkpoint covers was changed, removed, moved or
                added. The leaves reach the newest checkpoint.
3. Events       each leaf has an event with its hash, which is the next of its stream and names
                the hash of the one before; there is no other event (`history`, `stream`)
4. Projection   the exported rows are what the events fold to (`fold`, `projection`)

3 and 4 are done at the same time as 2, by all cores (`processes`).
"""

import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NamedTuple

from infra.ledger import bundle, checkpoint, merkle
from infra.ledger.bundle import BundleUnreadable
from infra.ledger.checkpoint import Checkpoint, CheckpointInvalid, PublicKey
from infra.ledger.history import Advance, Outcome, Sound
from infra.ledger.processes import checking

STEP = 4096
"""Events between two calls of `advance`."""

PASSES = 2
"""Over the ledger: the tree, and the events."""


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
            bundle.check_form(archive)
            size = bundle.size_of(archive)
            return _verify(archive, size, keys, since, _advance(progress, PASSES * size))
    except bundle.UNREADABLE as error:
        raise BundleUnreadable(f"the file is not a whole bundle: {error}") from error


def _advance(progress: Callable[[int, int], None], total: int) -> Advance:
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress(done, total)

    return advance


def _verify(
    archive: zipfile.ZipFile,
    size: int,
    keys: Sequence[PublicKey],
    since: Sequence[str],
    advance: Advance,
) -> Verdict:
    verdict = Verdict(events=size, keys=tuple(keys), key_is_the_bundles_own=not keys)
    if not keys:
        verdict.keys = (PublicKey.parse(archive.read(bundle.KEY).decode()),)
    notes = bundle.notes(archive.read(bundle.CHECKPOINTS).decode())
    marks = list(check_signatures(notes, verdict))
    verdict.checkpoints = len(marks)
    verdict.covered = max((mark.stated.size for mark in marks), default=0)
    marks += check_signatures(since, verdict, kept=True)
    with checking(archive, size, advance) as checked:
        with archive.open(bundle.LEAVES) as leaves:
            proven = check_tree(leaves, marks, verdict, advance)
        judge([*checked.outcomes], checked.sound, proven, verdict)
    return verdict


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


def check_tree(leaves: IO[bytes], marks: Iterable[Mark], verdict: Verdict, advance: Advance) -> int:
    """Up to which size the leaves are proven by checkpoints."""
    size = proven = proven_by_kept = 0
    frontier: list[bytes] = []
    for mark in sorted(marks, key=lambda mark: mark.stated.size):
        stated = mark.stated
        first = 1 + (proven_by_kept if mark.kept else proven)
        if verdict.events < stated.size:
            what = f"the ledger ends after event {verdict.events}, and {mark} covers more"
            verdict.findings.append(Finding(first, stated.size, what))
            break
        while size < stated.size:
            batch = bundle.leaves(leaves, min(STEP, stated.size - size))
            frontier = merkle.extend(size, frontier, batch)
            size += len(batch)
            advance(len(batch))
        if merkle.root(frontier) != stated.root:
            what = f"the ledger is not the one that {mark} was signed for"
            verdict.findings.append(Finding(first, size, what))
            break
        proven, proven_by_kept = size, size if mark.kept else proven_by_kept
    advance(verdict.events - size)
    return proven


def judge(outcomes: Sequence[Outcome], sound: Sound, proven: int, verdict: Verdict) -> None:
    """Put together what was found in the shares: the first wrong event, else the wrong rows."""
    verdict.streams = sum(outcome.streams for outcome in outcomes)
    if wrong := _first_wrong(outcomes, sound, proven, verdict.events):
        verdict.findings.append(wrong)
    if verdict.ok and verdict.events and not verdict.checkpoints:
        verdict.findings.append(Finding(1, verdict.events, "no checkpoint covers them"))
    if verdict.ok:
        verdict.findings += sorted(Finding(*row) for outcome in outcomes for row in outcome.rows)


def _first_wrong(
    outcomes: Sequence[Outcome], sound: Sound, proven: int, size: int
) -> Finding | None:
    broken = min((outcome.broken for outcome in outcomes if outcome.broken), default=None)
    stray = min((outcome.stray for outcome in outcomes if outcome.stray), default=None)
    damaged = next((outcome.damaged for outcome in outcomes if outcome.damaged), "")
    lost = sound.find(b"\0", 0, size) + 1  # the first place without its event, or 0
    if broken and not 0 < lost < broken.seq:
        # The one that is older than a checkpoint is proven; of two that are not, it may be either.
        first = broken.follows if broken.follows > proven else broken.seq
        return Finding(first, broken.seq, broken.what)
    if damaged:
        first = lost or size + 1
        return Finding(first, max(first, size), f"the archive is damaged ({damaged})")
    if lost:
        what = stray.what if stray and stray.seq == lost else "it is missing"
        signed = "it is not the event that was signed: " if lost <= proven else ""
        return Finding(lost, lost, signed + what)
    if stray:
        return Finding(stray.seq, stray.seq, stray.what)
    if sum(outcome.events for outcome in outcomes) > size:
        return Finding(1, size, "one stands there twice")
    return None
