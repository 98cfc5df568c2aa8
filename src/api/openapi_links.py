"""How one call leads to the next, as OpenAPI links: register, send, complete, watch, try again."""

from typing import Any

from api.operations import Operation

REGISTERED, ITEM, STATUS, HISTORY = (
    "$response.body#/media/id",
    "$response.body#/id",
    "$response.body#/mediaId",
    "$response.body#/mediaId",
)
FIRST = "$response.body#/items/0/id"

NAMED_BY: dict[str, str] = {
    "register_media": REGISTERED,
    "renew_upload": REGISTERED,
    "list_media": FIRST,
    "read_media": ITEM,
    "abandon_upload": ITEM,
    "erase_media": ITEM,
    "complete_upload": ITEM,
    "read_status": STATUS,
    "read_history": HISTORY,
    "retry_transcoding": ITEM,
}
"""Where an operation's answer names an item."""

FOLLOWED_BY: dict[str, tuple[str, ...]] = {
    "register_media": ("renew_upload", "complete_upload", "abandon_upload", "read_status"),
    "renew_upload": ("complete_upload", "abandon_upload"),
    "list_media": ("read_media", "read_status", "read_history", "read_playback"),
    "read_media": ("read_history", "complete_upload", "read_playback"),
    "abandon_upload": ("read_status", "read_history", "retry_transcoding"),
    "erase_media": ("read_status", "read_history", "read_media"),
    "complete_upload": ("read_status", "read_media", "read_history", "retry_transcoding"),
    "read_status": ("read_playback", "retry_transcoding"),
    "read_history": ("read_media",),
    "retry_transcoding": ("read_status", "read_history", "erase_media"),
}
"""What may be done next with that item."""


def links(operation: Operation, among: tuple[Operation, ...]) -> dict[str, Any]:
    """The links of an operation's answer to those that follow it."""
    name = operation.endpoint.__name__
    known = {each.endpoint.__name__: each for each in among}
    following = [known[each] for each in FOLLOWED_BY.get(name, ()) if each in known]
    found = {each.endpoint.__name__: _link(each, NAMED_BY[name]) for each in following}
    return found | _next_page(name)


def _link(to: Operation, media_id: str) -> dict[str, Any]:
    link: dict[str, Any] = {"operationId": to.endpoint.__name__, "description": to.summary}
    if "{media_id}" in to.path:
        return link | {"parameters": {"media_id": media_id}}
    return link | {"requestBody": {"mediaId": media_id}}


def _next_page(name: str) -> dict[str, Any]:
    if name != "list_media":
        return {}
    parameters = {"cursor": "$response.body#/nextCursor"}
    told = "The page after this one."
    return {"next": {"operationId": name, "description": told, "parameters": parameters}}
