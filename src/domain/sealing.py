"""Making an event's commitment, when it is stored. See `domain.personal`."""

from typing import NamedTuple, cast

from domain.events import CommittingEvent, Event
from domain.personal import Canonical, PersonalRecord


class Sealed(NamedTuple):
    """An event as it is stored, and what it commits to, if it does."""

    event: Event
    record: PersonalRecord | None


def seal(event: Event, salt: bytes, canonical: Canonical) -> Sealed:
    """`event` with its commitment under `salt`: 32 random bytes that were never used before."""
    if not event.personal_fields:  # asked first: `isinstance` of a pydantic class takes longer
        return Sealed(event, None)
    committing = cast("CommittingEvent", event)
    record = PersonalRecord(salt, canonical(committing.personal()))
    return Sealed(event.model_copy(update={"commitment": record.commitment}), record)
