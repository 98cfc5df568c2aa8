"""The verifier's own fold makes the row that the domain makes, of any history."""

import json
from binascii import hexlify
from collections.abc import Iterable
from copy import copy
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant

from domain import events as e
from domain.failure import ErrorCode
from domain.read_model import project_history
from domain.sealing import Sealed
from domain.upcasting import CURRENT, upcast
from infra.ledger.fold import RULES, Unfoldable, Upcast, read, upcast_payload
from infra.ledger.personal import Records
from infra.ledger.projection import Rows, Wrong
from infra.ledger.row import EMPTY, Failure
from infra.ledger.stream import Stream
from tests import factories as f
from tests.domain.test_random_histories import Item
from tests.infra.ledger.ledgers import line
from tests.infra.lives import LIVES, Life, naming_what_goes

GOLDEN = Path(__file__).parents[2] / "domain" / "golden"
ID = str(f.MEDIA_ID)
AT = "2026-11-02T09:00:00.000000Z"


def built(shape: type[e.Event], **fields: st.SearchStrategy[object]) -> st.SearchStrategy[e.Event]:
    """Events of a shape."""
    return st.fixed_dictionaries(fields).map(lambda drawn: shape(**drawn))


TEXT = st.text(max_size=8)
MAYBE = st.none() | TEXT
NUMBER = st.integers(0, 2**53 - 1)
SECONDS = st.floats(0, 1e22, allow_nan=False)
TIME = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
REGISTERED = built(
    e.Registered,
    media_type=st.sampled_from(e.MediaType),
    creator_id=TEXT,
    input_key=TEXT,
    file_name=TEXT,
    content_type=TEXT,
    declared_size=NUMBER,
    upload_deadline=TIME,
    commitment=st.none(),
)
LATER = st.one_of(
    built(e.UploadCompleted, size=NUMBER, etag=TEXT),
    built(e.UploadExpired, deadline=TIME),
    built(
        e.TranscodingRequested,
        attempt=NUMBER,
        attempt_id=st.uuids(),
        trigger=st.sampled_from(e.Trigger),
        deadline=TIME,
    ),
    built(e.TranscodingSubmitted, attempt=NUMBER, runpod_job_id=TEXT),
    st.just(f.transcoding_started()),
    built(
        e.TranscodingCompleted,
        attempt=NUMBER,
        runpod_job_id=TEXT,
        hls_master_playlist_key=TEXT,
        hls_preview_key=TEXT,
        manifest_key=TEXT,
        manifest_sha256=TEXT,
        thumbnail_key=MAYBE,
        waveform_key=MAYBE,
        duration_seconds=SECONDS,
        width=st.none() | NUMBER,
        height=st.none() | NUMBER,
        renditions=st.just(()),
        encoder=TEXT,
        encoder_note=MAYBE,
        gpu_seconds=SECONDS,
    ),
    built(
        e.TranscodingFailed,
        attempt=NUMBER,
        runpod_job_id=MAYBE,
        error_code=st.sampled_from(ErrorCode),
        message=TEXT,
        retryable=st.booleans(),
        stderr_tail=TEXT,
        commitment=st.none(),
    ),
    built(e.RetryRequested, actor=TEXT),
)
HISTORIES = st.builds(lambda first, later: [first, *later], REGISTERED, st.lists(LATER))


def streamed(events: Iterable[e.Event]) -> Stream:
    """The events as a ledger holds them, folded."""
    sealed: list[Sealed] = []
    for event in events:
        commitments = tuple(record.commitment for _, record in sealed if record)
        sealed.append(f.sealed(naming_what_goes(event, commitments)))
    gone = any(isinstance(event, e.Erased) for event, _ in sealed)
    lines = [
        line(ID, version, record)
        for version, (_, record) in enumerate(sealed, 1)
        if record and not gone
    ]
    stream = Stream(ID.encode(), b"", Records(lines))
    for event, _ in sealed:
        payload: Any = event.payload()
        fold(stream, event.type, rfc8785.dumps(payload), b"%d" % event.schema_version)
    return stream


def fold(
    stream: Stream,
    kind: str,
    payload: bytes,
    version: bytes = b"1",
    upcast: Upcast = upcast_payload,
) -> None:
    """Take one event as the walk over a part does. Its hash is its version's digits."""
    before, own = stream.version, stream.version + 1
    named = hexlify(b"%d" % before) if before else b""
    lines = [b""] * 15
    lines[2], lines[4:6] = b"%d" % own, [kind.encode(errors="surrogateescape"), version]
    lines[12:] = AT.encode(), named, payload
    stream.take(stream.seq + 1, lines, b"%d" % own, upcast)


def differences(row: object, stream: Stream) -> list[Wrong]:
    """What is found wrong with the one row."""
    rows = Rows([json.dumps(row).encode()], stream.version)
    rows.compare(stream)
    rows.end()
    return rows.wrong


def shown(events: Iterable[e.Event]) -> dict[str, object]:
    """The row as the domain makes it and the database shows it."""
    row = project_history(f.MEDIA_ID, events)
    assert row is not None
    moment = datetime.fromisoformat(AT).isoformat()
    return {**row, "created_at": moment, "updated_at": moment}


@settings(deadline=None)
@given(HISTORIES)
def test_any_history_makes_the_domains_row(events: list[e.Event]) -> None:
    assert differences(shown(events), streamed(events)) == []


@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES)
def test_every_life_makes_the_domains_row(life: Life) -> None:
    events = [event for part in life for event in part]
    for length in range(1, len(events) + 1):
        assert differences(shown(events[:length]), streamed(events[:length])) == []


class FoldedTwice(Item):
    """Every history that commands can make."""

    @invariant()
    def the_verifier_folds_as_the_domain_does(self) -> None:
        events = [stored.event for stored in self.history()]
        if events:
            assert differences(shown(events), streamed(events)) == []


TestFoldedTwice = FoldedTwice.TestCase
TestFoldedTwice.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)


@settings(deadline=None)
@given(HISTORIES, st.data())
def test_row_with_another_value_differs(events: list[e.Event], data: st.DataObject) -> None:
    row, stream = shown(events), streamed(events)
    name = data.draw(st.sampled_from(sorted(row.keys() - {"id", "version"})))
    other = data.draw(st.none() | st.text() | NUMBER | st.just({"code": "timed_out"}))
    if other == row[name]:
        return
    what = f"the projection of {ID} differs from its events in {name}"
    assert differences({**row, name: other}, stream) == [(stream.seq, stream.seq, what)]


def test_rules_are_for_the_kinds_and_versions_that_are_written_now() -> None:
    assert {kind.decode(): int(each.schema_version) for kind, each in RULES.items()} == CURRENT


def test_event_of_an_older_shape_is_read_in_todays() -> None:
    kind, older = "media.upload_completed", {("media.upload_completed", 0): _named_as_today}
    stream = streamed([f.registered()])
    today = partial(upcast_payload, upcast=partial(upcast, upcasters=older))
    fold(stream, kind, b'{"bytes":7,"etag":"x"}', b"0", today)
    expected = shown([f.registered(), e.UploadCompleted(size=7, etag="x")])
    assert differences(expected, stream) == []


def _named_as_today(payload: Any) -> dict[str, object]:
    return {"size": payload["bytes"], "etag": payload["etag"]}


@pytest.mark.parametrize(
    ("kind", "version", "said"),
    [
        ("media.upload_completed", b"2", "stored in schema version 2"),
        ("media.upload_completed", b"0", "no upcaster"),
        ("media.upload_completed", b"x", "invalid literal"),
        ("media.sold", b"1", "no such event"),
        ("media.registered", b"1", "as version 2"),
        ("media.\udcff", b"1", "decode"),
    ],
)
def test_event_that_nobody_can_read_is_told(kind: str, version: bytes, said: str) -> None:
    stream = streamed([f.registered()])
    with pytest.raises(Unfoldable, match=said):
        fold(stream, kind, b"{}", version)


def test_stream_begins_with_its_registration() -> None:
    with pytest.raises(Unfoldable, match="as version 1"):
        fold(Stream(), "media.upload_completed", b"{}")


DEEP = b'{"size":7,"etag":"x","y":' + b"[" * 10**5
MALFORMED = (
    b"",
    b"{",
    b"[]",
    b"7",
    b"null",
    b'"x"',
    b"{}",
    b'{"size":NaN,"etag":"x"}',
    b"\xff",
    DEEP,
)


@pytest.mark.parametrize("payload", MALFORMED, ids=lambda each: each[:9])
def test_malformed_payload_makes_no_row(payload: bytes) -> None:
    stream = streamed([f.registered()])
    with pytest.raises(Unfoldable, match="its payload is malformed"):
        fold(stream, "media.upload_completed", payload)
    fold(stream, "media.upload_completed", b'{"size":7,"etag":"x"}')
    assert stream.row() is None
    assert differences(shown([f.registered()]), stream) == []  # it was told with its place


@pytest.mark.parametrize(
    ("name", "value"),
    [("transcoding_attempts", False), ("declared_size", 1048576.5), ("size", []), ("status", 7)],
)
def test_value_of_another_type_differs(name: str, value: object) -> None:
    row = shown([f.registered()])
    assert row | {name: value} != row or isinstance(value, bool)
    ((_, _, what),) = differences(row | {name: value}, streamed([f.registered()]))
    assert what.endswith(f"in {name}")


def test_column_too_many_and_one_too_few_differ() -> None:
    row = shown([f.registered()]) | {"another": None}
    del row["etag"]
    ((_, _, what),) = differences(row, streamed([f.registered()]))
    assert what.endswith("in another, etag")


@pytest.mark.parametrize("kind", ["media.registered", "media.transcoding_failed"])
def test_what_stood_in_the_clear_is_read_as_the_domain_reads_it(kind: str) -> None:
    golden = json.loads((GOLDEN / f"{kind}.v1.json").read_text("utf-8"))
    for payload in golden["payloads"]:
        row = copy(EMPTY)
        read(kind.encode(), b"1", json.dumps(payload).encode(), upcast_payload).set(row)
        if kind == "media.registered":
            shown = (row.file_name, row.r2_key, row.creator_id)
            assert shown == tuple(payload[name] for name in ("fileName", "inputKey", "creatorId"))
        else:
            error = Failure(payload["errorCode"], payload["message"], payload["retryable"])
            assert row.transcoding_error == error
