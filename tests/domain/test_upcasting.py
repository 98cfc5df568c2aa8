"""Events of earlier versions are read as today's; those of later ones are not read at all."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import ValidationError

from domain.events import UploadCompleted
from domain.upcasting import (
    CURRENT,
    UPCASTERS,
    EventTooNew,
    Payload,
    Upcaster,
    UpcasterMissing,
    read_event,
    upcast,
)
from tests.domain.test_stored_shapes import FILES, payloads, type_and_version

UPLOADED = "media.upload_completed"


def _size_got_its_name(payload: Payload) -> Payload:
    return {"size": payload["bytes"], **{k: v for k, v in payload.items() if k != "bytes"}}


def _etag_was_added(payload: Payload) -> Payload:
    return {**payload, "etag": ""}


STEPS: Mapping[tuple[str, int], Upcaster] = {
    (UPLOADED, -1): _etag_was_added,
    (UPLOADED, 0): _size_got_its_name,
}
"""As if the shape had changed twice before the first version that was ever stored."""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_version_ever_stored_is_read_as_todays(path: Path) -> None:
    event_type, version = type_and_version(path)
    for payload in payloads(path):
        event = read_event(event_type, version, payload)
        assert (event.type, event.schema_version) == (event_type, CURRENT[event_type])


def test_each_earlier_version_has_a_step_and_nothing_else_has() -> None:
    left = {(kind, version) for kind, now in CURRENT.items() for version in range(1, now)}
    assert set(UPCASTERS) == left


def test_an_older_payload_goes_through_every_step_in_order() -> None:
    stored = {"bytes": 7}
    assert read_event(UPLOADED, -1, stored, STEPS) == UploadCompleted(size=7, etag="")
    assert read_event(UPLOADED, 0, {**stored, "etag": "e"}, STEPS) == UploadCompleted(
        size=7, etag="e"
    )
    assert stored == {"bytes": 7}


def test_todays_payload_goes_through_none() -> None:
    payload = {"size": 7, "etag": "e"}
    assert upcast(UPLOADED, 1, payload, STEPS) is payload
    with pytest.raises(ValidationError):
        read_event(UPLOADED, 1, {"bytes": 7, "etag": "e"}, STEPS)


@pytest.mark.parametrize(("kind", "version"), [(UPLOADED, 2), ("media.from_the_future", 1)])
def test_what_a_newer_program_stored_asks_for_an_upgrade(kind: str, version: int) -> None:
    with pytest.raises(EventTooNew, match="Upgrade every process first") as refused:
        read_event(kind, version, {})
    assert (refused.value.event_type, refused.value.schema_version) == (kind, version)


def test_a_version_left_behind_without_a_step_is_told() -> None:
    with pytest.raises(UpcasterMissing, match=r"upload_completed from version 0"):
        read_event(UPLOADED, 0, {"bytes": 7})


def test_a_stored_type_is_not_overruled_by_the_payload() -> None:
    with pytest.raises(ValidationError):
        read_event(UPLOADED, 1, {"type": "media.registered", "creatorId": "x"})
