"""Reading events that an earlier version of this program stored.

What is stored never changes. Where an event's shape has changed since, each step of the change is
an upcaster: a pure function from the payload of one schema version to that of the next.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import get_args

from pydantic import TypeAdapter

from domain.events import Event, EventBase

Payload = Mapping[str, object]
"""A payload as stored: JSON types, camelCase."""
Upcaster = Callable[[Payload], Payload]


def _without_commitment(payload: Payload) -> Payload:
    """Version 1 had the personal fields in its payload, and commits to nothing."""
    return {**payload, "commitment": None}


UPCASTERS: Mapping[tuple[str, int], Upcaster] = MappingProxyType(
    {
        ("media.registered", 1): _without_commitment,
        ("media.transcoding_failed", 1): _without_commitment,
    }
)
"""(event type, schema version) → the step to the next version."""

SHAPES: tuple[type[EventBase], ...] = get_args(get_args(Event)[0])
CURRENT: Mapping[str, int] = MappingProxyType(
    {shape.model_fields["type"].default: shape.schema_version for shape in SHAPES}
)
"""Event type → the schema version that is written now."""

_EVENT: TypeAdapter[Event] = TypeAdapter(Event)


class EventTooNew(Exception):
    """The event was stored by a newer version of this program."""

    code = "event_too_new"

    def __init__(self, event_type: str, schema_version: int) -> None:
        known = CURRENT.get(event_type)
        super().__init__(
            f"{event_type} is stored in schema version {schema_version}, and this program knows "
            f"{f'versions up to {known}' if known else 'no such event'}. "
            "Upgrade every process first, then start again."
        )
        self.event_type = event_type
        self.schema_version = schema_version


class UpcasterMissing(Exception):
    """A version was left behind without a step to the next one."""

    def __init__(self, event_type: str, schema_version: int) -> None:
        super().__init__(f"there is no upcaster of {event_type} from version {schema_version}")
        self.event_type = event_type
        self.schema_version = schema_version


def upcast(
    event_type: str,
    schema_version: int,
    payload: Payload,
    upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS,
) -> Payload:
    """`payload` in today's shape. `EventTooNew` for a later shape or an unknown type."""
    current = CURRENT.get(event_type, 0)
    if schema_version > current:
        raise EventTooNew(event_type, schema_version)
    for version in range(schema_version, current):
        step = upcasters.get((event_type, version))
        if step is None:
            raise UpcasterMissing(event_type, version)
        payload = step(payload)
    return payload


def read_event(
    event_type: str,
    schema_version: int,
    payload: Payload,
    upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS,
    personal: Payload | None = None,
) -> Event:
    """The event in a stored payload of any version ever stored.

    `personal` are the fields that it commits to, where they were not erased.
    """
    today = upcast(event_type, schema_version, payload, upcasters)
    return _EVENT.validate_python({**today, **(personal or {}), "type": event_type})
