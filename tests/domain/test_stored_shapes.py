"""Stored payloads against golden files: a shape that was stored once is read for ever.

`golden/TYPE.vN.json` holds payloads of one event type as schema version N wrote them, and
`golden/shapes.json` a hash of every shape. A test failing here means that a shape has changed:
give the new one a new version, an upcaster and golden files (docs/history.md, "A new shape").
"""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal, cast

import pytest
import rfc8785
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from domain.events import Context, Event, EventBase, Shape
from domain.upcasting import CURRENT, SHAPES, read_event
from tests import factories as f

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(GOLDEN.glob("media.*.json"))
HASHES: dict[str, str] = json.loads((GOLDEN / "shapes.json").read_text())
EVENT: TypeAdapter[Event] = TypeAdapter(Event)


def type_and_version(path: Path) -> tuple[str, int]:
    event_type, _, version = path.stem.rpartition(".v")
    return event_type, int(version)


NOW = [path for path in FILES if type_and_version(path) in CURRENT.items()]


def payloads(path: Path) -> list[dict[str, object]]:
    golden: dict[str, list[dict[str, object]]] = json.loads(path.read_text())
    return golden["payloads"]


def shape_hash(shape: type[BaseModel]) -> str:
    """SHA-256 over the JSON Schemas of what is read and what is written, without their prose."""
    modes: tuple[Literal["validation", "serialization"], ...] = ("validation", "serialization")
    schemas = [_without_prose(shape.model_json_schema(mode=mode)) for mode in modes]
    return hashlib.sha256(json.dumps(schemas, sort_keys=True).encode()).hexdigest()


def _without_prose(schema: object) -> object:
    if isinstance(schema, list):
        return [_without_prose(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    # A field may be called `title`; what it holds is a schema then, and no text.
    return {
        name: _without_prose(each)
        for name, each in schema.items()
        if name not in {"title", "description"} or not isinstance(each, str)
    }


def test_every_version_of_every_event_has_a_golden_file_and_nothing_else_has() -> None:
    ever = {(kind, version) for kind, now in CURRENT.items() for version in range(1, now + 1)}
    assert {type_and_version(path) for path in FILES} == ever
    assert {json.loads(path.read_text())["schemaVersion"] for path in FILES} == {
        version for _, version in ever
    }


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_no_shape_changes_without_a_new_version(shape: type[EventBase]) -> None:
    name = f"{shape.model_fields['type'].default}.v{shape.schema_version}"
    assert shape_hash(shape) == HASHES.get(name), f"{name} is not the shape that was stored"


def test_no_hash_stands_for_a_shape_that_never_was() -> None:
    assert set(HASHES) == {path.stem for path in FILES}


def test_any_change_of_shape_changes_its_hash_and_prose_does_not() -> None:
    class Before(Shape):
        """One."""

        title: str
        size: int

    class Reworded(Shape):
        """Another."""

        title: str = Field(description="told")
        size: int

    class Renamed(Shape):
        name: str
        size: int

    class Retyped(Shape):
        title: str
        size: float

    class Loosened(Shape):
        title: str
        size: int | None = None

    class Longer(Shape):
        title: str
        size: int
        etag: str

    hashes = [shape_hash(each) for each in (Before, Renamed, Retyped, Loosened, Longer)]
    assert len(set(hashes)) == 5
    assert shape_hash(Reworded) == hashes[0]


@pytest.mark.parametrize("path", NOW, ids=lambda path: path.stem)
def test_a_stored_payload_is_read_and_written_unchanged(path: Path) -> None:
    for payload in payloads(path):
        event = read_event(*type_and_version(path), payload)
        written: Any = event.payload()
        # Compared as the RFC 8785 text that is hashed: `==` would take True for 1.
        assert rfc8785.dumps(written) == rfc8785.dumps(cast("Any", payload))


@pytest.mark.parametrize("path", NOW, ids=lambda path: path.stem)
def test_a_payload_with_a_field_too_many_or_too_few_is_not_read(path: Path) -> None:
    event_type, _ = type_and_version(path)
    for payload in payloads(path):
        with pytest.raises(ValidationError):
            EVENT.validate_python({"type": event_type, **payload, "surprise": 1})
        for missing in payload:
            shorter = {name: value for name, value in payload.items() if name != missing}
            with pytest.raises(ValidationError):
                EVENT.validate_python({"type": event_type, **shorter})


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
