"""What auditors read: all events in order, the newest checkpoint, the bundle that proves them.

Each read is itself recorded before it is answered.
"""

from collections.abc import AsyncIterator

from starlette.responses import Response, StreamingResponse

from api.audit_schemas import checkpoint_out, ledger_event_out
from api.media import NDJSON
from api.operations import Call, answer
from api.problems import ApiError
from infra.ledger.checkpoint import SigningKey
from infra.ledger.export import export

ZIP = "application/zip"
TEXT = "text/plain"
MAX_DIGITS = 18
"""What PostgreSQL's bigint certainly holds."""


async def read_ledger(call: Call) -> Response:
    """Every event after `after` in the ledger's order, a line each, as far as it reaches now."""
    after = _after(call.request.query_params.get("after"))
    await _note(call, f"events after {after}")
    return StreamingResponse(_lines(call, after), media_type=NDJSON)


async def _lines(call: Call, after: int) -> AsyncIterator[str]:
    async for found in call.services.ledger.events(after):
        yield f"{ledger_event_out(found).model_dump_json(by_alias=True)}\n"


def _after(text: str | None) -> int:
    if text is None:
        return 0
    if not (text.isascii() and text.isdecimal()) or len(text) > MAX_DIGITS:
        raise ApiError(422, "invalid_request", "after is the seq of an event, or 0.")
    return int(text)


async def read_checkpoint(call: Call) -> Response:
    """The newest signed checkpoint: as JSON, or (by Accept) the bare note as text."""
    kept = await call.services.ledger.checkpoint()
    if kept is None:
        raise ApiError(404, "no_checkpoint", "Nothing is sealed yet: no event, or no `work` runs.")
    await _note(call, f"checkpoint of size {kept.size}")
    if TEXT in call.request.headers.get("accept", ""):
        return Response(kept.note, headers={"vary": "accept"}, media_type=TEXT)
    signer = SigningKey(*call.services.settings.ledger_signer)
    return answer(checkpoint_out(kept, signer.public), headers={"vary": "accept"})


async def read_bundle(call: Call) -> Response:
    """One zip that proves the whole history offline; `codex-media audit verify` reads it."""
    await _note(call, "bundle")
    key = SigningKey(*call.services.settings.ledger_signer).public
    headers = {"content-disposition": 'attachment; filename="codex-media-audit.zip"'}
    return StreamingResponse(export(call.services.pool, key), headers=headers, media_type=ZIP)


async def _note(call: Call, what: str) -> None:
    roles = "+".join(sorted(call.principal.roles))
    await call.services.ledger.note_read(f"{roles}:{call.principal.subject}", what)
