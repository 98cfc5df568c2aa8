"""The verifier refuses every corrupted export at the right place, and no clean one."""

import zipfile
from functools import cache
from pathlib import Path

import pytest

from infra.ledger import bundle, glance, history, processes
from infra.ledger.bundle import BundleUnreadable
from infra.ledger.history import Outcome, Share
from infra.ledger.verifier import Verdict, judge, verify
from tests.infra.ledger.corruptions import CORRUPTIONS
from tests.infra.ledger.damage import Corruption
from tests.infra.ledger.ledgers import KEY, OTHER_KEY, Ledger, make, note, seeded, zipped

TOTAL = 1000
"""Corruptions, and clean exports."""
EACH = -(-TOTAL // len(CORRUPTIONS))


@cache
def ledgers() -> tuple[Ledger, ...]:
    """Ledgers to corrupt, wholly covered by checkpoints, each with a stream of several events."""
    rng = seeded(6962)
    made = (make(rng, rng.randint(2, 8), rng.randint(1, 9), covered=True) for _ in range(30))
    return tuple(each for each in made if len(each.items) < len(each.texts))


@pytest.mark.parametrize("corrupt", CORRUPTIONS, ids=lambda each: each.__name__)
def test_every_corruption_is_found_at_its_first_place(corrupt: Corruption) -> None:
    rng = seeded(corrupt.__name__)
    for _ in range(EACH):
        bad = corrupt(rng, rng.choice(ledgers()))
        verdict = verify(bad.packed, [KEY.public], bad.since)
        found = verdict.first_wrong
        assert found is not None
        assert found.first <= bad.first <= found.last, (found, bad.first)
        assert not bad.exact or found.first == found.last, found


def test_no_clean_export_is_refused() -> None:
    rng = seeded(9162)
    for _ in range(TOTAL):
        ledger = make(rng, rng.randint(1, 5), rng.randint(1, 12))
        kept = rng.randint(0, len(ledger.texts))
        packed = ledger.packed(compressed=rng.random() < 0.5)
        verdict = verify(packed, [OTHER_KEY.public, KEY.public], [note(ledger.leaves, kept)])
        assert verdict.ok, verdict.findings
        assert verdict.events == len(ledger.texts)
        assert verdict.streams == len(ledger.items)
        assert verdict.covered == ledger.sizes[-1]
        assert [*verdict.uncovered] == [*range(ledger.sizes[-1] + 1, len(ledger.texts) + 1)]


def test_part_that_is_walked_through_is_found_as_right_as_at_a_glance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ledger = make(seeded(12), 40, 9, covered=True)
    with (
        zipfile.ZipFile(ledger.packed()) as archive,
        bundle.open_leaves(archive) as leaves,
    ):
        places = [
            place
            for part in bundle.parts(archive)
            for place in glance.places_of(
                bundle.read(archive, bundle.events_of(part)),
                bundle.rows(bundle.read(archive, bundle.items_of(part))),
                bundle.personal(archive, part),
                leaves,
            )
        ]
    assert sorted(places) == [*range(1, len(ledger.texts) + 1)]
    monkeypatch.setattr(glance, "VERSIONS", [])  # no stream is short enough
    verdict = verify(ledger.packed(), [KEY.public])
    assert verdict.ok, verdict.findings
    assert verdict.streams == len(ledger.items)


def test_event_that_two_processes_saw_at_once_is_told() -> None:
    verdict = Verdict(events=3, checkpoints=1)
    judge([Outcome(events=2), Outcome(events=2)], bytearray(b"\1\1\1"), 3, verdict)
    assert str(verdict.first_wrong) == "somewhere in events 1 to 3: one stands there twice"


def test_leaves_are_found_in_a_file_as_in_memory(tmp_path: Path) -> None:
    ledger = make(seeded(13), 9, 4, covered=True)
    for compressed in (False, True):
        (tmp_path / "bundle.zip").write_bytes(ledger.packed(compressed=compressed).getvalue())
        assert verify(tmp_path / "bundle.zip", [KEY.public]).ok
    ledger.leaves[3] = ledger.leaves[4]
    (tmp_path / "bundle.zip").write_bytes(ledger.packed().getvalue())
    assert not verify(tmp_path / "bundle.zip", [KEY.public]).ok


def test_key_from_the_bundle_is_told_and_proves_nothing() -> None:
    forged = make(seeded(1), 3, 4)
    forged.signed(OTHER_KEY, forged.sizes)
    verdict = verify(forged.packed())
    assert verdict.ok
    assert verdict.key_is_the_bundles_own
    assert not verify(forged.packed(), [KEY.public]).ok
    assert not verify(forged.packed(), [KEY.public]).key_is_the_bundles_own


def test_events_without_any_checkpoint_are_not_verified() -> None:
    ledger = make(seeded(2), 3, 4)
    ledger.notes = []
    assert str(verify(ledger.packed(), [KEY.public]).first_wrong).endswith(
        "no checkpoint covers them"
    )


def test_events_that_end_early_are_told_as_missing() -> None:
    ledger = make(seeded(6), 3, 4, covered=True)
    del ledger.texts[-1]
    found = str(verify(ledger.packed(), [KEY.public]).first_wrong)
    said = "it is not the event that was signed: it is missing"
    assert found == f"event {len(ledger.leaves)}: {said}"


def test_cores_that_share_the_work_find_what_one_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = make(seeded(7), 12, 4, covered=True)
    for row in ledger.items[::3]:
        row["status"] = "other"
    del ledger.items[1::4]
    (tmp_path / "bundle.zip").write_bytes(ledger.packed().getvalue())
    alone = verify(tmp_path / "bundle.zip", [KEY.public])
    monkeypatch.setattr(processes, "PARALLEL_EVENTS", 0)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    together = verify(tmp_path / "bundle.zip", [KEY.public])
    assert len(alone.findings) > 4
    assert together.findings == alone.findings


@pytest.mark.parametrize("corrupt", CORRUPTIONS, ids=lambda each: each.__name__)
def test_shares_together_find_what_one_share_finds(corrupt: Corruption) -> None:
    rng = seeded(corrupt.__name__)
    for of in (2, 3, 5):
        with zipfile.ZipFile(corrupt(rng, rng.choice(ledgers())).packed) as archive:
            size = bundle.size_of(archive)
            sound, shared = bytearray(size), bytearray(size)
            alone = history.check(archive, Share(), sound, lambda _: None)
            shares = [
                history.check(archive, Share(number, of), shared, lambda _: None)
                for number in range(of)
            ]
        assert shared == sound
        for name in ("broken", "stray"):
            found = [getattr(share, name) for share in shares if getattr(share, name)]
            assert min(found, default=None) == getattr(alone, name)
        assert sum(share.streams for share in shares) == alone.streams
        assert sum(share.events for share in shares) == alone.events == sum(sound)
        assert sorted(row for share in shares for row in share.rows) == sorted(alone.rows)


def test_part_that_a_process_cannot_read_is_told_as_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = dict(make(seeded(10), 2, 2, covered=True).members())
    del members[bundle.items_of(1)]
    (tmp_path / "bundle.zip").write_bytes(zipped(members.items()).getvalue())
    monkeypatch.setattr(processes, "PARALLEL_EVENTS", 0)
    with pytest.raises(BundleUnreadable, match=bundle.items_of(1)):
        verify(tmp_path / "bundle.zip", [KEY.public])


def test_process_that_dies_is_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bundle.zip").write_bytes(make(seeded(11), 2, 2, covered=True).packed().getvalue())
    monkeypatch.setattr(processes, "PARALLEL_EVENTS", 0)
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(ChildProcessError):
        verify(tmp_path / "bundle.zip", [KEY.public])


def test_empty_ledger_is_clean() -> None:
    assert verify(Ledger().packed(), [KEY.public]).ok


def test_progress_reaches_its_total() -> None:
    told: list[tuple[int, int]] = []
    ledger = make(seeded(3), 5, 4)
    verify(ledger.packed(), [KEY.public], progress=lambda *each: told.append(each))
    assert told[-1] == (2 * len(ledger.texts), 2 * len(ledger.texts))


@pytest.mark.parametrize(
    "lost",
    [
        bundle.FORM_NAME,
        bundle.events_of(1),
        bundle.events_of(2),
        bundle.items_of(2),
        bundle.personal_of(2),
        bundle.LEAVES,
        bundle.CHECKPOINTS,
    ],
)
def test_archive_without_a_part_is_no_bundle(lost: str) -> None:
    members = dict(make(seeded(4), 5, 2).members())
    del members[lost]
    with pytest.raises(BundleUnreadable, match=lost):
        verify(zipped(members.items()), [KEY.public])


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        (bundle.FORM_NAME, b"codex-media.bundle.v4\n", "bundle.v4"),
        (bundle.LEAVES, b"x" * 33, "within a hash"),
    ],
)
def test_archive_of_another_form_is_no_bundle(name: str, data: bytes, said: str) -> None:
    members = dict(make(seeded(4), 2, 2).members()) | {name: data}
    with pytest.raises(BundleUnreadable, match=said):
        verify(zipped(members.items()), [KEY.public])


def test_archive_that_is_cut_off_is_no_bundle(tmp_path: Path) -> None:
    whole = make(seeded(5), 2, 2).packed().getvalue()
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.zip").write_bytes(whole[:size])
        with pytest.raises(BundleUnreadable):
            verify(tmp_path / "cut.zip", [KEY.public])
