"""Creators: they announce files, upload them or not, press buttons twice, and try again."""

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from botocore.exceptions import BotoCoreError, ClientError

from domain.events import Context, ErasureReason
from domain.lifecycle import Status
from domain.media import MediaItem
from domain.ports import PresignedUpload
from domain.use_cases import Registered, Registration
from tests.simulate.processes import now_s
from tests.simulate.watch import FINAL, Acknowledged

if TYPE_CHECKING:
    from tests.simulate.service import Answer
    from tests.simulate.world import World

SIZE = 64
PATIENCE = 200
"""Tries of one request: a creator comes back until the world is healed."""


class Plan(StrEnum):
    """What a creator does with an item."""

    GOOD = "good"
    BROKEN = "broken file"
    NEVER = "never uploaded"
    WRONG_SIZE = "wrong size"
    SILENT = "uploaded, never completed"


@dataclass(eq=False, slots=True)
class Item:
    """One item of one creator, from the creator's side."""

    world: "World"
    creator: str
    number: int
    plan: Plan = Plan.GOOD
    video: bool = True
    retries: bool = False
    hasty: bool = False
    """Presses every button twice, and some too early."""
    starts_s: float = 0.0
    erases_after_s: float | None = None
    media_id: UUID | None = None
    done: bool = False

    async def live(self) -> None:
        """All that the creator does."""
        await asyncio.sleep(self.starts_s)
        registered = await self._register()
        if registered is not None:
            if self.erases_after_s is not None:
                self.world.outside.start(self._erase(registered.media_id, self.erases_after_s))
            await self._bring(registered)
            await self._see_to_it(registered.media_id)
        self.done = True

    def _context(self) -> Context:
        return Context(actor=f"creator:{self.creator}", correlation_id=self.world.chance.uuid4())

    async def _register(self) -> Registered | None:
        kind = "video/mp4" if self.video else "audio/mpeg"
        wanted = Registration(self.creator, "holiday.mp4", kind, SIZE, f"key-{self.number}")

        async def register(services, _host):  # type: ignore[no-untyped-def]
            return await services.uploads.register(wanted, self._context())

        answer = await self._insist("register", register)
        if answer is None or answer.status != 200:
            return None
        registered: Registered = answer.said
        self.media_id = registered.media_id
        self.world.items_by_id[registered.media_id] = self
        self._acknowledged("register")
        return registered

    async def _bring(self, registered: Registered) -> None:
        if registered.upload is None or self.plan is Plan.NEVER:
            if self.plan is Plan.NEVER:
                self.world.count("F25: upload abandoned")
            return
        await self._put(registered.upload)
        if self.hasty and self.world.chance.happens(0.5):
            await self._put(registered.upload, b"another file")

    async def _put(self, upload: PresignedUpload, body: bytes | None = None) -> None:
        """PUT as the signature demands, until the bucket has it."""
        world, url = self.world, urlsplit(upload.url)
        signature = parse_qs(url.query)["X-Amz-Signature"][0]
        content = body or self._content()

        def act() -> None:
            key, until_s = world.bucket.presigned[signature]
            if now_s() <= until_s:
                world.bucket.put(key, content, upload.headers["content-type"], if_none=True)

        for _ in range(PATIENCE):
            try:
                await world.lines["creator-bucket"].call(world.outside, "put", act, _lost)
            except ClientError as error:
                if error.response["Error"]["Code"] == "PreconditionFailed":
                    world.count("F24: a presigned URL used again")
                    return
            except BotoCoreError:
                pass
            else:
                return
            await asyncio.sleep(world.chance.uniform(2, 30))

    def _content(self) -> bytes:
        start = b"BAD" if self.plan is Plan.BROKEN else b"file"
        size = SIZE + 1 if self.plan is Plan.WRONG_SIZE else SIZE
        return (start + f" {self.creator} {self.number}".encode()).ljust(size, b".")

    async def _see_to_it(self, media_id: UUID) -> None:
        if self.plan is Plan.SILENT:
            return
        await self._complete(media_id)
        if self.retries:
            await self._retry_if_failed(media_id)

    async def _complete(self, media_id: UUID) -> None:
        async def complete(services, _host):  # type: ignore[no-untyped-def]
            return await services.uploads.complete(media_id, self.creator, self._context())

        if self.hasty:
            self.world.count("F23: complete sent twice")
            self.world.outside.start(self.world.network.ask("complete", complete))
        answer = await self._insist("complete", complete)
        if answer is not None and answer.status == 200:
            self._acknowledged("complete")

    async def _retry_if_failed(self, media_id: UUID) -> None:
        async def retry(services, _host):  # type: ignore[no-untyped-def]
            return await services.dispatch.retry(media_id, self.creator, self._context())

        if self.hasty:
            await asyncio.sleep(self.world.chance.uniform(0, 100))
            await self.world.network.ask("retry", retry)
        item = await self._end_of_attempt(media_id)
        if item is None or item.status is not Status.FAILED or item.etag is None:
            return
        if self.hasty:
            self.world.count("F18: retry pressed twice at once")
            self.world.outside.start(self.world.network.ask("retry", retry))
        answer = await self._insist("retry", retry)
        if answer is not None and answer.status == 200:
            self.world.count("retried")
            self._acknowledged("retry")
            await self._press_once_more(media_id, retry)

    async def _press_once_more(self, media_id: UUID, retry) -> None:  # type: ignore[no-untyped-def]
        """There is no third attempt."""
        item = await self._end_of_attempt(media_id)
        if self.hasty and item is not None and item.status is Status.FAILED:
            await self.world.network.ask("retry", retry)

    async def _erase(self, media_id: UUID, after_s: float) -> None:
        async def erase(services, _host):  # type: ignore[no-untyped-def]
            reason = ErasureReason.CREATOR_REQUEST
            return await services.erasure.erase(media_id, self.creator, reason, self._context())

        await asyncio.sleep(after_s)
        answer = await self._insist("erase", erase)
        if answer is not None and answer.status == 200:
            self._acknowledged("erase")

    async def _end_of_attempt(self, media_id: UUID) -> MediaItem | None:
        """Look at the item now and then until it is in a final state; None once it is gone."""
        for _ in range(600):
            item = self.world.item(media_id)
            if item is None or item.status in FINAL:
                return item
            await asyncio.sleep(self.world.chance.uniform(20, 60))
        return None

    async def _insist(self, what: str, handler) -> "Answer | None":  # type: ignore[no-untyped-def]
        for _ in range(PATIENCE):
            answer = await self.world.network.ask(what, handler)
            if answer is not None and answer.status < 500:
                return answer
            await asyncio.sleep(self.world.chance.uniform(1, 30))
        return None

    def _acknowledged(self, what: str) -> None:
        acknowledged = Acknowledged(what, now_s(), self.media_id)
        self.world.watch.acknowledged.append(acknowledged)


def _lost() -> Exception:
    return BotoCoreError()
