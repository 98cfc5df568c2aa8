"""Erasing an item: by its creator, or by an admin."""

from starlette.responses import Response

from api.auth import Role
from api.operations import Call, answer
from api.schemas import media_out
from domain.errors import AccessDenied
from domain.events import ErasureReason
from domain.media import MediaItem


async def erase_media(call: Call) -> Response:
    """Erase an item for good: its file, all that was made of it, and what was said of a person.

    202 at once, and each time it is asked again; the objects are removed within seconds. Its
    history stays, without personal data, and says that it was erased.
    """
    item = await _erased(call)
    row = await call.services.reads.item(call.media_id, item.creator_id)
    if row is None:
        raise AccessDenied(call.media_id)
    return answer(media_out(row), 202)


async def _erased(call: Call) -> MediaItem:
    """An admin who is the creator, too, acts as the creator where the item is theirs."""
    erase, media_id, subject = call.services.erasure.erase, call.media_id, call.principal.subject
    roles = call.principal.roles
    if Role.CREATOR in roles:
        try:
            return await erase(media_id, subject, ErasureReason.CREATOR_REQUEST, call.context)
        except AccessDenied:
            if Role.ADMIN not in roles:
                raise
    context = call.context.model_copy(update={"actor": f"admin:{subject}"})
    return await erase(media_id, None, ErasureReason.ADMIN, context)
