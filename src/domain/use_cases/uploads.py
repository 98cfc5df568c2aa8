"""From the announcement of a file to its first attempt."""

import re
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import NamedTuple
from uuid import UUID, uuid4, uuid5

from domain.commands import AbandonUpload, CompleteUpload, ExpireUpload, RegisterMedia
from domain.errors import (
    IdempotencyKeyReused,
    InvalidTransition,
    StorageUnavailable,
    UploadMismatch,
    UploadMissing,
    UploadRefused,
)
from domain.events import Context, MediaType
from domain.handler import handle
from domain.lifecycle import Status
from domain.media import MediaItem
from domain.part_ports import PresignedParts
from domain.ports import EventStore, ObjectStorage, PresignedUpload
from domain.quotas import Quotas
from domain.use_cases.access import load_item, load_owned, system
from domain.use_cases.dispatch import Dispatch
from domain.use_cases.parts import PartUploads

_CONTENT_TYPE = re.compile(r"(?P<kind>video|audio)/[a-z0-9][a-z0-9.+-]*")
"""In lower case. It becomes a signed header, so nothing else may be in it."""
_IDEMPOTENT = UUID("6f0d4c4e-0c9b-5f39-9a53-6a8f6a8ea2f5")
"""Namespace of media ids made from an Idempotency-Key (RFC 9562, version 5)."""

BUCKET_PATIENCE = timedelta(days=1)
"""How long after its deadline an upload waits for a bucket that does not answer."""


class Registration(NamedTuple):
    """A file as its creator announces it; `size` in bytes."""

    creator_id: str
    file_name: str
    content_type: str
    size: int
    idempotency_key: str | None = None


class Registered(NamedTuple):
    """A registered item and where to upload its file."""

    media_id: UUID
    item: MediaItem
    upload: PresignedUpload | PresignedParts | None
    """None when the upload is over (a repeated request)."""


@dataclass(frozen=True, slots=True)
class Uploads:
    """Registration and completion of uploads."""

    store: EventStore
    storage: ObjectStorage
    dispatch: Dispatch
    max_bytes: int
    window: timedelta
    """How long a registered file may take to arrive."""
    parts: PartUploads | None = None
    """None: every file is sent in one piece."""
    quotas: Quotas | None = None
    """None: a creator may register as much as they like."""
    types: tuple[str, ...] = ("video/*", "audio/*")
    """Content types that are taken, as shell patterns."""

    async def register(self, wanted: Registration, context: Context) -> Registered:
        """Announce a file and learn how to send it: a presigned PUT, or several of its parts.

        Raises `UploadRefused` for a size or type we cannot take, `QuotaExceeded` for more than its
        creator may have, `IdempotencyKeyReused` when the same key came with another request.
        """
        media_id = _media_id(wanted)
        media_type = self._accepted_type(wanted)
        if self.quotas is not None:
            await self.quotas.reserve(media_id, wanted.creator_id, wanted.size)
        command = RegisterMedia(
            media_id=media_id,
            creator_id=wanted.creator_id,
            media_type=media_type,
            file_name=wanted.file_name,
            content_type=wanted.content_type,
            declared_size=wanted.size,
            upload_deadline=await self.store.now() + self.window,
        )
        item = (await handle(self.store, media_id, command, context)).item
        if item.status is Status.ERASED:  # What was asked for then, nobody knows any more.
            raise IdempotencyKeyReused(erased=True)
        if (item.creator_id, item.file_name, item.content_type, item.declared_size) != (
            wanted.creator_id,
            wanted.file_name,
            wanted.content_type,
            wanted.size,
        ):
            raise IdempotencyKeyReused
        return Registered(media_id, item, await self._presign(media_id, item))

    def _accepted_type(self, wanted: Registration) -> MediaType:
        known = _CONTENT_TYPE.fullmatch(wanted.content_type)
        if known is None:
            raise UploadRefused(
                f"{wanted.content_type!r} is neither video/… nor audio/…; only those are taken."
            )
        if not any(fnmatchcase(wanted.content_type, pattern) for pattern in self.types):
            raise UploadRefused(
                f"{wanted.content_type} is not taken here; these are: {', '.join(self.types)}."
            )
        if not 0 < wanted.size <= self.max_bytes:
            raise UploadRefused(
                f"A file may have 1 to {self.max_bytes} bytes; {wanted.size} were declared."
            )
        return MediaType(known["kind"])

    async def _presign(
        self, media_id: UUID, item: MediaItem
    ) -> PresignedUpload | PresignedParts | None:
        if item.status is not Status.UPLOADING:
            return None
        if self.parts is not None and (offer := await self.parts.offer(media_id, item)):
            return offer
        return await self.storage.presign_put(
            item.stored_key, item.content_type, item.declared_size
        )

    async def renew(self, media_id: UUID, creator_id: str) -> Registered:
        """Fresh URLs of what an upload still lacks; `InvalidTransition` when it is over."""
        item = await load_owned(self.store, media_id, creator_id)
        upload = await self._presign(media_id, item)
        if upload is None:
            raise InvalidTransition(item.status, "uploading")
        return Registered(media_id, item, upload)

    async def complete(self, media_id: UUID, creator_id: str, context: Context) -> MediaItem:
        """Check the object, begin the first attempt, and try to send it at once.

        Raises `UploadMissing` or `UploadMismatch`, leaving the state as it was. A transcoder that
        does not answer fails nothing: the outbox keeps the attempt.
        """
        item = await load_owned(self.store, media_id, creator_id)
        if item.status is Status.UPLOADING:
            if self.parts is not None:
                await self.parts.join(media_id, item)
            command = await self._found(media_id, item)
            item = (await handle(self.store, media_id, command, context)).item
        elif item.etag is None:
            raise InvalidTransition(item.status, "completing the upload")
        return await self.dispatch.send_at_once(media_id, item)

    async def _found(self, media_id: UUID, item: MediaItem) -> CompleteUpload:
        found = await self.storage.head(item.stored_key)
        if found is None:
            raise UploadMissing
        if found.size != item.declared_size:
            raise UploadMismatch("size", item.declared_size, found.size)
        if found.content_type != item.content_type:
            raise UploadMismatch("content type", item.content_type, found.content_type)
        deadline = await self.store.now() + self.dispatch.window
        return CompleteUpload(media_id, found.size, found.etag, deadline)

    async def abandon(self, media_id: UUID, creator_id: str, context: Context) -> MediaItem:
        """Give up an upload; `InvalidTransition` when its file was taken already.

        The item ends as one whose time is over. What arrived of it is given up by `PartUploads`.
        """
        await load_owned(self.store, media_id, creator_id)
        command = AbandonUpload(await self.store.now())
        return (await handle(self.store, media_id, command, context)).item

    async def expire(self, media_id: UUID) -> None:
        """End an upload that has outlived its deadline.

        Where the file is there after all (its creator's tab closed before saying so), the upload
        is completed instead: nothing that arrived is lost.
        """
        context = system("sweeper")
        item = await load_item(self.store, media_id)
        if item.status is not Status.UPLOADING:
            return
        try:
            await self.complete(media_id, item.creator_id, context)
        except (UploadMissing, UploadMismatch):
            await handle(self.store, media_id, ExpireUpload(await self.store.now()), context)
        except StorageUnavailable:
            now = await self.store.now()
            if item.deadline is None or now < item.deadline + BUCKET_PATIENCE:
                raise
            await handle(self.store, media_id, ExpireUpload(now), context)


def _media_id(wanted: Registration) -> UUID:
    # The same key of the same creator names the same item: no table of keys, nothing to clean up.
    if wanted.idempotency_key is None:
        return uuid4()
    return uuid5(_IDEMPOTENT, f"{wanted.creator_id}/{wanted.idempotency_key}")
