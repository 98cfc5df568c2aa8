"""Stored payloads against golden files: a shape that was stored once is read for ever.

A file holds payloads of one event type as written by schema version 1. A test failing here means
that today's code no longer reads or writes them unchanged: give the new shape a new version.
"""

import json
from pathlib import Path
from typing import Any, cast, get_args

import pytest
import rfc8785
from pydantic import TypeAdapter, ValidationError

from domain.events import Context, Event, EventBase
from tests import factories as f

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(GOLDEN.glob("*.json"))
SHAPES: tuple[type[EventBase], ...] = get_args(get_args(Event)[0])
EVENT: TypeAdapter[Event] = TypeAdapter(Event)


def payloads(path: Path) -> list[dict[str, object]]:
    golden: dict[str, list[dict[str, object]]] = json.loads(path.read_text())
    return golden["payloads"]


def test_every_event_type_has_a_golden_file_and_nothing_else_has() -> None:
    assert {path.stem for path in FILES} == {shape.model_fields["type"].default for shape in SHAPES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_stored_payload_is_read_and_written_unchanged(path: Path) -> None:
    for payload in payloads(path):
        event = EVENT.validate_json(json.dumps({"type": path.stem, **payload}))
        assert event.schema_version == 1
        written: Any = event.payload()
        # Compared as the RFC 8785 text that is hashed: `==` would take True for 1.
        assert rfc8785.dumps(written) == rfc8785.dumps(cast("Any", payload))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_payload_with_a_field_too_many_or_too_few_is_not_read(path: Path) -> None:
    for payload in payloads(path):
        with pytest.raises(ValidationError):
            EVENT.validate_python({"type": path.stem, **payload, "surprise": 1})
        for missing in payload:
            shorter = {name: value for name, value in payload.items() if name != missing}
            with pytest.raises(ValidationError):
                EVENT.validate_python({"type": path.stem, **shorter})


def test_an_event_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        f.upload_completed().size = 2  # type: ignore[misc]  # that is the test


def test_a_deadline_without_a_time_zone_is_not_an_event() -> None:
    naive = f.UPLOAD_DEADLINE.replace(tzinfo=None)
    with pytest.raises(ValidationError):
        f.upload_expired().model_validate({"deadline": naive})


@pytest.mark.parametrize("actor", ["", "a" * 201, "two\nlines", "nul\x00", "line end\n"])
def test_an_actor_is_one_short_line(actor: str) -> None:
    with pytest.raises(ValidationError):
        f.context(actor)


def test_a_context_names_its_actor_and_request() -> None:
    stored = Context.model_validate_json(f.context().model_dump_json(by_alias=True))
    assert stored == f.context()
