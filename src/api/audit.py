"""What auditors read: all events in order, what they rest on, the newest checkpoint, the bundle.

Each read is itself recorded before it is answered.
"""

import re
from collections.abc import AsyncIterator
from datetime import UTC
from email.utils import format_datetime

from starlette.responses import Response, StreamingResponse

from api.audit_schemas import checkpoint_out, ledger_event_out
from api.media import NDJSON
from api.operations import Call, answer
from api.parameters import MAX_SEQ_DIGITS
from api.problems import ApiError
from infra.ledger.checkpoint import SigningKey
from infra.ledger.export import export

ZIP = "application/zip"
SAVED_AS = {"content-disposition": 'attachment; filename="codex-media-audit.zip"'}
TEXT = "text/plain"
BYTES = "application/octet-stream"
_SHA256 = re.compile(r"[0-9a-f]{64}")


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
    if not (text.isascii() and text.isdecimal()) or len(text) > MAX_SEQ_DIGITS:
        raise ApiError(422, "invalid_request", "after is the seq of an event, or 0.")
    return int(text)


async def read_checkpoint(call: Call) -> Response:
    """The newest signed checkpoint: as JSON, or (by Accept) the bare note as text."""
    kept = await call.services.ledger.checkpoint()
    if kept is None:
        raise ApiError(404, "no_checkpoint", "Nothing is sealed yet: no event, or no `work` runs.")
    await _note(call, f"checkpoint of size {kept.size}")
    if call.media_type == TEXT:
        return Response(kept.note, headers={"vary": "accept"}, media_type=TEXT)
    signer = SigningKey(*call.services.settings.ledger_signer)
    return answer(checkpoint_out(kept, signer.public), headers={"vary": "accept"})


async def read_bundle(call: Call) -> Response:
    """One zip that proves the whole history offline; `codex-media audit verify` reads it."""
    await _note(call, "bundle")
    key = SigningKey(*call.services.settings.ledger_signer).public
    return StreamingResponse(export(call.services.pool, key), headers=SAVED_AS, media_type=ZIP)


async def read_evidence(call: Call) -> Response:
    """The message that an event names by its SHA-256, byte by byte as it came."""
    digest = _digest(call.request.path_params["sha256"])
    await _note(call, f"evidence {digest.hex()}")
    kept = await call.services.ledger.evidence(digest)
    if kept is None:
        raise ApiError(404, "no_evidence", "No message with this SHA-256 is kept, or not any more.")
    headers = {
        "content-disposition": f'attachment; filename="{digest.hex()}"',
        "evidence-kind": kept.kind,
        "last-modified": format_datetime(kept.kept_at.astimezone(UTC), usegmt=True),
        "x-content-type-options": "nosniff",
    }
    return Response(kept.body, headers=headers, media_type=BYTES)


def _digest(text: str) -> bytes:
    if not _SHA256.fullmatch(text):
        raise ApiError(422, "invalid_request", "sha256 is 64 hexadecimal digits, in lower case.")
    return bytes.fromhex(text)


async def _note(call: Call, what: str) -> None:
    roles = "+".join(sorted(call.principal.roles))
    await call.services.ledger.note_read(f"{roles}:{call.principal.subject}", what)
