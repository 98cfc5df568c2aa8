"""Making an event's commitment, when it is stored. See `domain.personal`."""

from typing import NamedTuple

from domain.events import CommittingEvent, Event
from domain.personal import Canonical, PersonalRecord


class Sealed(NamedTuple):
    """An event as it is stored, and what it commits to, if it does."""

    event: Event
    record: PersonalRecord | None


def seal(event: Event, salt: bytes, canonical: Canonical) -> Sealed:
    """`event` with its commitment under `salt`: 32 random bytes that were never used before."""
    if not isinstance(event, CommittingEvent):
        return Sealed(event, None)
    record = PersonalRecord(salt, canonical(event.personal()))
    return Sealed(event.model_copy(update={"commitment": record.commitment}), record)
