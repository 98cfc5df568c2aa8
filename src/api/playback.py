"""Playback without a public bucket: short-lived playlists, their segments signed on the way out."""

import logging
import re
import time
from datetime import UTC, datetime

from pydantic import ValidationError
from starlette.responses import Response

from api.links import PREVIEW, Links
from api.operations import Call, answer
from api.playlists import NotAPlaylist, signed
from api.problems import ApiError
from api.schemas import LoudnessOut, PlaybackOut
from domain.errors import AccessDenied, InvalidTransition
from domain.lifecycle import Status
from gpu_worker.contract import OutputLayout
from gpu_worker.contract_extras import Extras, Loudness
from gpu_worker.contract_logs import bind
from infra import capability
from infra.capability import Capability, CapabilityRefused
from infra.object_storage import ObjectTooLarge

MAX_PLAYLIST_BYTES = 2 * 1024 * 1024
HLS = "application/vnd.apple.mpegurl"
VTT = "text/vtt"
MAX_EXTRAS_BYTES = 64 * 1024
_PATH = re.compile(r"(?:preview/)?[A-Za-z0-9_-]+\.m3u8|storyboard\.vtt")
logger = logging.getLogger(__name__)
HEADERS = {
    "access-control-allow-origin": "*",
    "cache-control": "private, max-age=60",
    # A `<video>` of any page that was given the URL loads it.
    "cross-origin-resource-policy": "cross-origin",
}


async def read_playback(call: Call) -> Response:
    """URLs of a ready item that a player can load."""
    row = await call.services.reads.item(call.media_id, call.principal.subject)
    if row is None:
        raise AccessDenied(call.media_id)
    if row.status is not Status.READY:
        raise InvalidTransition(row.status, "playback")
    settings = call.services.settings
    expires_s = int(time.time()) + settings.playback_url_ttl_s
    token = capability.mint(
        settings.capability_keys[0],
        Capability("play", row.id, row.transcoding_attempts, expires_s),
    )
    layout = OutputLayout(row.creator_id, row.id)
    base = f"{settings.public_app_url}/api/playback/{token}"
    links = Links(settings, call.services.storage, layout, base)
    extras = await _extras(call, layout)
    poster, waveform = row.thumbnail_key, row.waveform_key
    return answer(
        PlaybackOut(
            master_url=links.playlist("master.m3u8"),
            preview_url=links.playlist(PREVIEW) if row.hls_preview_key else None,
            poster_url=await links.object(poster) if poster else None,
            waveform_url=await links.object(waveform) if waveform else None,
            storyboard_url=links.playlist("storyboard.vtt") if extras.storyboard else None,
            animated_preview_url=(await links.object(layout.animated) if extras.animated else None),
            loudness=_loudness(extras.loudness),
            notes=list(extras.notes),
            expires_at=datetime.fromtimestamp(expires_s, UTC) if links.expire else None,
        )
    )


def _loudness(told: Loudness | None) -> LoudnessOut | None:
    return None if told is None else LoudnessOut.model_validate(told.model_dump())


async def _extras(call: Call, layout: OutputLayout) -> Extras:
    """What the worker made besides; nothing where it was too old to say."""
    try:
        body = await call.services.storage.read(layout.extras, MAX_EXTRAS_BYTES)
        return Extras() if body is None else Extras.model_validate_json(body)
    except (ObjectTooLarge, ValidationError):
        logger.warning("%s cannot be read", layout.extras)
        return Extras(notes=("The list of extras cannot be read.",))


async def play(call: Call) -> Response:
    """A playlist of the token's item or its storyboard; what it names is signed for the bucket."""
    path = call.request.path_params["path"]
    services = call.services
    try:
        found = capability.verify(
            services.settings.capability_keys,
            call.request.path_params["token"],
            "play",
            time.time(),
        )
    except CapabilityRefused:
        raise ApiError(403, "access_denied", "The playback URL is not valid any more.") from None
    bind(media_id=found.media_id)
    master = await services.reads.master_key(found.media_id)
    if master is None or not _PATH.fullmatch(path):
        raise ApiError(404, "not_found", "There is no such playlist.")
    folder = f"{master.removesuffix('master.m3u8')}{path}".rpartition("/")[0]
    left_s = max(60, found.expires_s - int(time.time()))

    async def sign(name: str) -> str:
        return await services.storage.presign_get(f"{folder}/{name}", left_s)

    try:
        body = await services.storage.read(
            f"{folder}/{path.rpartition('/')[2]}", MAX_PLAYLIST_BYTES
        )
        playlist = None if body is None else await signed(body, sign)
    except (ObjectTooLarge, NotAPlaylist) as error:
        logger.warning("media=%s: %s is no playlist: %r", found.media_id, path, error)
        playlist = None
    if playlist is None:
        raise ApiError(404, "not_found", "There is no such playlist.")
    return Response(playlist, media_type=VTT if path.endswith(".vtt") else HLS, headers=HEADERS)
