"""A run's hold on one chunk: as that on an attempt, in `claim.py`, and marked done in the end."""

import asyncio
import logging
import time
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from gpu_worker.bucket import STORAGE_ERRORS
from gpu_worker.chunk_objects import ChunkObjects, ChunkRecord, FoundRecord
from gpu_worker.claim import Times
from gpu_worker.claim_objects import UNCLAIMED, If
from gpu_worker.contract import ManifestObject
from gpu_worker.errors import ChunkLost

PUT_TRIES = 3

logger = logging.getLogger(__name__)
Made = TypeVar("Made")


class ChunkLease:
    """`take` it, then work under `guard` within `async with`, and `finish` it."""

    def __init__(self, objects: ChunkObjects, record: ChunkRecord, times: Times) -> None:
        self.record = record
        self._objects = objects
        self._times = times
        self._etag = ""
        self._until = 0.0
        self._keeping: asyncio.Task[None] | None = None
        self._settled = False

    async def take(self, found: FoundRecord | None) -> bool:
        """Whether the chunk is ours now, which was free as `found`."""
        started = time.monotonic()
        condition = UNCLAIMED if found is None else If(IfMatch=found.etag)
        etag = await self._objects.put(self.record, condition)
        if etag is None:
            etag = await self._stored_after_all()
        self._until = started + self._times.lease_s
        self._etag = etag or ""
        return etag is not None

    async def _stored_after_all(self) -> str | None:
        """The ETag of our record where it was stored, and the answer was lost."""
        found = await self._objects.read(self.record.number)
        ours = found and found.record and found.record.holder == self.record.holder
        return found.etag if found and ours else None

    async def __aenter__(self) -> Self:
        self._keeping = asyncio.create_task(self._keep())
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self._stop_keeping()
        if not self._settled:
            await self._release()

    async def guard(self, work: Coroutine[Any, Any, Made]) -> Made:
        """What `work` makes. :class:`ChunkLost`, and it was cancelled, when the chunk is lost."""
        working = asyncio.create_task(work)
        if self._keeping is None:
            raise RuntimeError("a lease is guarded while it is entered")
        try:
            await asyncio.wait((working, self._keeping), return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                await self._keeping
            return await working
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    def check(self) -> None:
        """:class:`ChunkLost` once the lease has run out."""
        if time.monotonic() >= self._until:
            raise ChunkLost(self.record.number)

    async def finish(self, objects: tuple[ManifestObject, ...]) -> None:
        """Mark the chunk done: `objects` are its segments. :class:`ChunkLost` if it is lost."""
        await self._stop_keeping()
        self.check()
        self._settled = True
        await self._put(self.record.model_copy(update={"objects": objects}))

    async def _stop_keeping(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)

    async def _keep(self) -> None:
        """Renew until cancelled; raises :class:`ChunkLost`."""
        delay_s = self._times.renewal_s
        while True:
            await asyncio.sleep(delay_s)
            self.check()
            started = time.monotonic()
            renewed = self.record.model_copy(update={"renewals": self.record.renewals + 1})
            try:
                async with asyncio.timeout(self._times.call_s):
                    await self._put(renewed)
            except STORAGE_ERRORS as error:
                logger.warning("chunk %d was not renewed: %s", renewed.number, type(error).__name__)
                delay_s = self._times.retry_s
            else:
                self._until = started + self._times.lease_s
                delay_s = self._times.renewal_s

    async def _put(self, record: ChunkRecord) -> None:
        """Replace our record by another one of ours."""
        for _ in range(PUT_TRIES):
            if etag := await self._objects.put(record, If(IfMatch=self._etag)):
                self._etag, self.record = etag, record
                return
            found = await self._objects.read(record.number)
            if found is None or found.record is None or found.record.holder != record.holder:
                break
            self._etag = found.etag  # stored before, and the answer was lost
        self._settled = True
        raise ChunkLost(record.number)

    async def _release(self) -> None:
        """Let others take the chunk at once. Else the lease runs out by itself."""
        try:
            async with asyncio.timeout(self._times.release_s):
                await self._put(self.record.model_copy(update={"released": True}))
        except (*STORAGE_ERRORS, ChunkLost) as error:
            logger.warning("chunk %d was not released: %s", self.record.number, error)
