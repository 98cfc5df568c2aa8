"""An item as it was at a version or at a time: folded from its events, and from nothing else."""

import re
from datetime import datetime
from uuid import UUID

from starlette.datastructures import QueryParams

from api.parameters import MAX_VERSION_DIGITS
from api.problems import ApiError
from api.schemas import AsOfOut, CoverOut, MediaOut, SealOut, media_out
from domain.events import StoredEvent
from domain.lifecycle import Status
from domain.read_model import project_history
from infra.postgres.reads import ItemRow, MediaReads, SealRow

PARAMETERS = ("version", "at")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def wanted(query: QueryParams) -> bool:
    """Whether the query asks for an earlier state."""
    return any(name in query for name in PARAMETERS)


async def item_as_of(
    reads: MediaReads, media_id: UUID, history: list[StoredEvent], query: QueryParams
) -> MediaOut:
    """The item as of `query`, with the place in the ledger of the last event it rests on."""
    past = _until(history, query)
    seal = await newest_seal(reads, past)
    as_of = AsOfOut(
        version=past[-1].version,
        at=past[-1].recorded_at,
        seq=seal.seq if seal else None,
        checkpoint=seal.checkpoint if seal else None,
    )
    return media_out(_row(media_id, past)).model_copy(update={"as_of": as_of})


async def newest_seal(reads: MediaReads, history: list[StoredEvent]) -> SealOut | None:
    """Where the ledger holds the last of `history`; None until it is sealed."""
    found = await reads.seal(history[-1].position)
    return None if found is None else _seal_out(found)


def _seal_out(row: SealRow) -> SealOut:
    size, note = row.checkpoint_size, row.checkpoint_note
    covered = size is not None and note is not None
    return SealOut(seq=row.seq, checkpoint=CoverOut(size=size, note=note) if covered else None)


def _until(history: list[StoredEvent], query: QueryParams) -> list[StoredEvent]:
    version, at = query.get("version"), query.get("at")
    if version is not None and at is not None:
        raise ApiError(422, "invalid_request", "Give version or at, not both.")
    past = _until_version(history, version) if at is None else _until_time(history, at)
    if not past:
        detail = f"The item has the versions 1 to {len(history)}, the first recorded at "
        detail += f"{history[0].recorded_at.isoformat()}."
        raise ApiError(404, "version_unknown", detail)
    return past


def _until_version(history: list[StoredEvent], text: str | None) -> list[StoredEvent]:
    # The length first: Python refuses to read a number of more than 4300 digits.
    known = text is not None and text.isascii() and text.isdecimal()
    if text is None or not known or len(text) > MAX_VERSION_DIGITS:
        raise ApiError(422, "invalid_request", "version is a whole number, from 1.")
    version = int(text)
    return history[:version] if version <= len(history) else []


def _until_time(history: list[StoredEvent], text: str) -> list[StoredEvent]:
    at = _time(text)
    # The last one recorded by then: a clock that was put back does not hide what came before it.
    versions = [stored.version for stored in history if stored.recorded_at <= at]
    return history[: max(versions, default=0)]


def _time(text: str) -> datetime:
    try:
        if _RFC3339.fullmatch(text):
            return datetime.fromisoformat(text.upper())
    except ValueError:
        pass  # well written, but no such day or hour
    raise ApiError(
        422,
        "invalid_request",
        "at is a time as in RFC 3339, e.g. 2026-11-02T09:00:00Z (a + is written %2B in a URL).",
    )


def _row(media_id: UUID, past: list[StoredEvent]) -> ItemRow:
    projected = project_history(media_id, (stored.event for stored in past))
    if projected is None:  # `_until` lets no empty history through.
        raise LookupError(f"media={media_id} has no history")
    values = {name: projected[name] for name in ItemRow._fields if name in projected}  # type: ignore[literal-required]  # names of both
    values |= {
        "id": media_id,
        "status": Status(projected["status"]),
        "created_at": past[0].recorded_at,
        "updated_at": past[-1].recorded_at,
    }
    return ItemRow(**values)
