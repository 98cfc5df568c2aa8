"""Registering, uploading, listing and reading media items."""

from uuid import UUID

from starlette.responses import Response

from api import as_of, cursors
from api.operations import Call, answer
from api.parameters import DEFAULT_PAGE, MAX_KEY_LENGTH, MAX_PAGE
from api.problems import ApiError
from api.schemas import (
    EventOut,
    HistoryOut,
    MediaOut,
    MediaPage,
    RegisterRequest,
    event_out,
    media_out,
)
from api.upload_schemas import RegisteredOut, upload_out
from domain.errors import AccessDenied
from domain.events import StoredEvent
from domain.lifecycle import Status
from domain.use_cases import Registered, Registration
from gpu_worker.contract_logs import bind
from infra.postgres.reads import Cursor

NDJSON = "application/x-ndjson"
VARY = {"vary": "accept"}


async def register_media(call: Call) -> Response:
    """Announce a file; 201 with the item and how to upload it."""
    assert isinstance(call.body, RegisterRequest)  # noqa: S101 - the operation's body model
    key = call.request.headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= MAX_KEY_LENGTH:
        raise ApiError(422, "invalid_request", "Idempotency-Key has 1 to 255 characters.")
    wanted = Registration(
        creator_id=call.principal.subject,
        file_name=call.body.file_name,
        content_type=call.body.content_type,
        size=call.body.size,
        idempotency_key=key,
    )
    registered = await call.services.uploads.register(wanted, call.context)
    bind(media_id=registered.media_id)
    await call.services.tally.note_tier(registered.media_id, call.principal.tier)
    headers = {"location": f"/api/media/{registered.media_id}"}
    return answer(await _registered(call, registered), 201, headers)


async def renew_upload(call: Call) -> Response:
    """Fresh URLs for what is missing of an upload."""
    renewed = await call.services.uploads.renew(call.media_id, call.principal.subject)
    return answer(await _registered(call, renewed))


async def _registered(call: Call, registered: Registered) -> RegisteredOut:
    upload = registered.upload
    return RegisteredOut(
        media=await owned(call, registered.media_id),
        upload=None if upload is None else upload_out(upload),
    )


async def abandon_upload(call: Call) -> Response:
    """Give up an upload; the item ends as one whose time is over."""
    await call.services.uploads.abandon(call.media_id, call.principal.subject, call.context)
    return answer(await owned(call, call.media_id))


async def complete_upload(call: Call) -> Response:
    """The file is uploaded: check it and begin transcoding; 202."""
    await call.services.uploads.complete(call.media_id, call.principal.subject, call.context)
    return answer(await owned(call, call.media_id), 202)


async def read_media(call: Call) -> Response:
    """One item, as projected; with `version` or `at`, as it was then.

    An earlier state is folded from the events alone. An auditor may ask for that of any item.
    """
    query = call.request.query_params
    if not as_of.wanted(query):
        return answer(await owned(call, call.media_id))
    history = await _readable(call)
    return answer(await as_of.item_as_of(call.services.reads, call.media_id, history, query))


async def owned(call: Call, media_id: UUID) -> MediaOut:
    """The caller's item; `AccessDenied` for missing and foreign ones alike."""
    row = await call.services.reads.item(media_id, call.principal.subject)
    if row is None:
        raise AccessDenied(media_id)
    return media_out(row)


async def list_media(call: Call) -> Response:
    """One page of the caller's items, newest first."""
    query = call.request.query_params
    limit = _limit(query.get("limit"))
    rows = await call.services.reads.page(
        call.principal.subject,
        _status(query.get("status")),
        _cursor(call, query.get("cursor")),
        limit + 1,
    )
    page = rows[:limit]
    following = None
    if len(rows) > limit:
        last = Cursor(page[-1].created_at, page[-1].id)
        key = call.services.settings.capability_keys[0]
        following = cursors.written(key, call.principal.subject, last)
    return answer(MediaPage(items=[media_out(row) for row in page], next_cursor=following))


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_PAGE
    # The length first: Python refuses to read a number of more than 4300 digits.
    known = text.isascii() and text.isdecimal() and len(text) <= 9
    if not known or not 1 <= int(text) <= MAX_PAGE:
        raise ApiError(422, "invalid_request", f"limit is a number from 1 to {MAX_PAGE}.")
    return int(text)


def _status(text: str | None) -> Status | None:
    try:
        return None if text is None else Status(text)
    except ValueError:
        known = ", ".join(Status)
        raise ApiError(422, "invalid_request", f"status is one of {known}.") from None


def _cursor(call: Call, text: str | None) -> Cursor | None:
    if text is None:
        return None
    try:
        return cursors.read(call.services.settings.capability_keys, call.principal.subject, text)
    except cursors.CursorRefused:
        raise ApiError(
            422, "invalid_request", "cursor is the nextCursor of an earlier page."
        ) from None


async def read_history(call: Call) -> Response:
    """An item's whole history, as JSON or (by Accept) as NDJSON."""
    history = await _readable(call)
    events = [event_out(stored) for stored in history]
    if call.media_type == NDJSON:
        return Response(_lines(events), headers=VARY, media_type=NDJSON)
    seal = await as_of.newest_seal(call.services.reads, history)
    return answer(HistoryOut(media_id=call.media_id, events=events, seal=seal), headers=VARY)


def _lines(events: list[EventOut]) -> str:
    return "".join(f"{event.model_dump_json(by_alias=True)}\n" for event in events)


async def _readable(call: Call) -> list[StoredEvent]:
    """The item's history, if the caller may read it; reading somebody else's is put on record."""
    own = await call.services.reads.history(call.media_id, call.principal.subject)
    if own and _owns(call, own):
        return own
    if not call.principal.reads_all_history:
        raise AccessDenied(call.media_id)
    history = await call.services.store.load(call.media_id)
    if not history:
        raise AccessDenied(call.media_id)
    roles = "+".join(sorted(call.principal.roles))
    path, query = call.request.url.path, call.request.url.query
    what = f"{path}?{query}" if query else path
    await call.services.ledger.note_read(f"{roles}:{call.principal.subject}", what[:500])
    return history


def _owns(call: Call, history: list[StoredEvent]) -> bool:
    first = history[0].event
    return first.type == "media.registered" and first.creator_id == call.principal.subject
