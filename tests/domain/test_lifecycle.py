"""The one table of moves, and what is compiled from it."""

from typing import get_args

import pytest

from domain.events import Event
from domain.lifecycle import ALLOWED, FIRST_EVENT, TRANSITIONS, Status, mermaid, next_status

EVENT_TYPES = [member.model_fields["type"].default for member in get_args(get_args(Event)[0])]
LISTED = {(row["source"], row["trigger"]): row["dest"] for row in TRANSITIONS}
UNLISTED = [
    (status, event_type)
    for status in Status
    for event_type in EVENT_TYPES
    if (status, event_type) not in LISTED
]


def test_there_are_exactly_six_states() -> None:
    assert [status.value for status in Status] == [
        "uploading",
        "uploaded",
        "transcoding",
        "ready",
        "failed",
        "erased",
    ]


def test_the_compiled_table_is_the_declared_one() -> None:
    assert dict(ALLOWED) == LISTED
    assert len(LISTED) == len(TRANSITIONS) == 13


def test_every_event_but_the_first_moves_some_state() -> None:
    assert {row["trigger"] for row in TRANSITIONS} | {FIRST_EVENT} == set(EVENT_TYPES)


def test_the_compiled_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        ALLOWED[Status.READY, "media.registered"] = Status.UPLOADING  # type: ignore[index]  # that is the test


@pytest.mark.parametrize(("status", "event_type"), UNLISTED)
def test_a_move_that_is_not_listed_is_refused(status: Status, event_type: str) -> None:
    assert next_status(status, event_type) is None


def test_every_state_but_the_last_can_be_erased_and_ready_and_failed_have_little_else() -> None:
    leads_to = {
        status.value: [row["trigger"] for row in TRANSITIONS if row["source"] == status]
        for status in Status
    }
    assert leads_to["ready"] == ["media.erased"]
    assert leads_to["failed"] == ["media.retry_requested", "media.erased"]
    assert [name for name, moves in leads_to.items() if "media.erased" not in moves] == ["erased"]
    assert leads_to["erased"] == []


def test_the_diagram_draws_every_row_once() -> None:
    lines = mermaid().splitlines()
    assert lines[0] == "stateDiagram-v2"
    assert lines[1].strip() == "[*] --> uploading: registered"
    assert len(lines) == len(set(lines)) == len(TRANSITIONS) + 4
    assert "    failed --> uploaded: retry_requested" in lines
