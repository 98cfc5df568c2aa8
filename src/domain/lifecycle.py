"""The six states of a media item and the one table of moves between them.

The table feeds everything that must agree on it: `decide`, the database's `transitions_allowed`
rows and the README's diagram.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TypedDict

from transitions import Machine


class Status(StrEnum):
    """Where a media item is in its life."""

    UPLOADING = "uploading"
    UPLOADED = "uploaded"
    TRANSCODING = "transcoding"
    READY = "ready"
    FAILED = "failed"
    ERASED = "erased"


class Transition(TypedDict):
    """One row of the table, in the form `transitions` reads."""

    trigger: str
    source: str
    dest: str


def _row(trigger: str, source: Status, dest: Status) -> Transition:
    return {"trigger": trigger, "source": source.value, "dest": dest.value}


FIRST_EVENT = "media.registered"
"""The only event without a source state: it brings the item into being, in `INITIAL`."""
INITIAL = Status.UPLOADING

TRANSITIONS: tuple[Transition, ...] = (
    _row("media.upload_completed", Status.UPLOADING, Status.UPLOADED),
    _row("media.upload_expired", Status.UPLOADING, Status.FAILED),
    _row("media.transcoding_requested", Status.UPLOADED, Status.TRANSCODING),
    _row("media.transcoding_submitted", Status.TRANSCODING, Status.TRANSCODING),
    _row("media.transcoding_started", Status.TRANSCODING, Status.TRANSCODING),
    _row("media.transcoding_completed", Status.TRANSCODING, Status.READY),
    _row("media.transcoding_failed", Status.TRANSCODING, Status.FAILED),
    _row("media.retry_requested", Status.FAILED, Status.UPLOADED),
    _row("media.erased", Status.UPLOADING, Status.ERASED),
    _row("media.erased", Status.UPLOADED, Status.ERASED),
    _row("media.erased", Status.TRANSCODING, Status.ERASED),
    _row("media.erased", Status.READY, Status.ERASED),
    _row("media.erased", Status.FAILED, Status.ERASED),
)

MACHINE = Machine(
    model=None,
    states=[status.value for status in Status],
    initial=INITIAL.value,
    transitions=[dict(row) for row in TRANSITIONS],
    auto_transitions=False,
)


def _compile(machine: Machine) -> Mapping[tuple[Status, str], Status]:
    # A trigger bound to a model costs about a hundred look-ups in a dict and cannot be typed.
    return MappingProxyType(
        {
            (Status(source), trigger): Status(transition.dest)
            for trigger, event in machine.events.items()
            for source, transitions in event.transitions.items()
            for transition in transitions
            if transition.dest is not None
        }
    )


ALLOWED = _compile(MACHINE)
"""(state, event type) → next state."""


def next_status(status: Status, event_type: str) -> Status | None:
    """The state after `event_type` in `status`, or None where the table has no such move."""
    return ALLOWED.get((status, event_type))


def mermaid() -> str:
    """The table as a Mermaid state diagram (stateDiagram-v2)."""
    moves = [
        f"    {row['source']} --> {row['dest']}: {row['trigger'].removeprefix('media.')}"
        for row in TRANSITIONS
    ]
    first = f"    [*] --> {INITIAL}: {FIRST_EVENT.removeprefix('media.')}"
    last = [f"    {status} --> [*]" for status in (Status.READY, Status.ERASED)]
    return "\n".join(["stateDiagram-v2", first, *moves, *last])
