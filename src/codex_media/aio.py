"""A client of the service that does not block."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

import httpx

from codex_media import calls, wire
from codex_media import models as m
from codex_media.calls import Call
from codex_media.client import MediaClient
from codex_media.errors import CodexMediaError, ServiceUnreachable, refusal
from codex_media.events import Lines, LiveEvent, Messages, ledger_event, live_event
from codex_media.following import AFTER_STREAM_S, PASSING, Watch
from codex_media.retrying import Tries
from codex_media.sending import send_beside

T = TypeVar("T")


class AsyncMediaClient:
    """Calls the service at `base_url` as the bearer of `token`.

    A call that failed in passing is sent again, where that does no harm, for `patience_s` seconds
    at most; a service that never answered yet is told at once. Every method raises
    `CodexMediaError`.
    """

    def __init__(
        self,
        base_url: str,
        token: str | None,
        *,
        patience_s: float = wire.PATIENCE_S,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._base_url, self._token = base_url, token
        self._http = httpx.AsyncClient(
            base_url=base_url,
            headers=wire.headers(token),
            timeout=wire.TIMEOUT,
            trust_env=wire.proxied(base_url),
            transport=transport,
        )
        self._patience_s = patience_s
        self._met = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of every connection."""
        await self._http.aclose()

    async def session(self) -> m.Session:
        """Who the token says one is."""
        return await self.send(calls.session())

    async def register(
        self, file_name: str, content_type: str, size: int, *, idempotency_key: str | None = None
    ) -> m.Registered:
        """Announce a file of `size` bytes; where to send it is in the answer.

        The same `idempotency_key` with the same file names the same item again.
        """
        return await self.send(calls.register(file_name, content_type, size, idempotency_key))

    async def page(
        self, *, status: str | None = None, cursor: str | None = None, limit: int | None = None
    ) -> m.MediaPage:
        """A page of one's items, newest first."""
        return await self.send(calls.page(status, cursor, limit))

    async def items(self, *, status: str | None = None) -> AsyncIterator[m.Media]:
        """All of one's items, newest first, page by page as they are taken."""
        cursor: str | None = None
        while True:
            found = await self.page(status=status, cursor=cursor)
            for item in found.items:
                yield item
            if (cursor := found.next_cursor) is None:
                return

    async def media(
        self, media_id: UUID, *, version: int | None = None, at: datetime | None = None
    ) -> m.Media:
        """The item; as after `version` events, or as of `at`, where one is given."""
        return await self.send(calls.media(media_id, version, at))

    async def renew(self, media_id: UUID) -> m.Registered:
        """The item, and fresh URLs of what is missing of its file."""
        return await self.send(calls.renew(media_id))

    async def abandon(self, media_id: UUID) -> m.Media:
        """Give up an upload."""
        return await self.send(calls.abandon(media_id))

    async def complete(self, media_id: UUID) -> m.Media:
        """Say that the file is there; transcoding begins."""
        return await self.send(calls.complete(media_id))

    async def upload(
        self,
        file: Path,
        content_type: str,
        *,
        sent: Callable[[int], None] = lambda _: None,
        idempotency_key: str | None = None,
    ) -> m.Media:
        """Register `file`, send it (large ones in parts), complete it; the item.

        `sent` is told the bytes of each chunk, from other threads; fewer than none, when a part is
        sent anew.
        """
        size = (await asyncio.to_thread(file.stat)).st_size
        found = await self.register(file.name, content_type, size, idempotency_key=idempotency_key)
        if found.upload is not None:
            renews = MediaClient(self._base_url, self._token, patience_s=self._patience_s)
            await send_beside(renews, found.media.id, file, found.upload, sent)
        return await self.complete(found.media.id)

    async def erase(self, media_id: UUID) -> m.Media:
        """Erase the item for good."""
        return await self.send(calls.erase(media_id))

    async def history(self, media_id: UUID) -> m.History:
        """The item's events."""
        return await self.send(calls.history(media_id))

    async def playback(self, media_id: UUID) -> m.Playback:
        """URLs that a player can load."""
        return await self.send(calls.playback(media_id))

    async def status(self, media_id: UUID) -> m.MediaStatus:
        """The item's status."""
        return await self.send(calls.status(media_id))

    async def retry(self, media_id: UUID) -> m.Media:
        """Try a failed item again."""
        return await self.send(calls.retry(media_id))

    async def follow(self, media_id: UUID, limit_s: float) -> AsyncIterator[m.MediaStatus]:
        """The status, and again when it changed, until it is final; for `limit_s` seconds at most.

        Changes are pushed; where they cannot be, they are asked for.
        """
        watch, wake = Watch(media_id, time.monotonic() + limit_s), asyncio.Event()
        listening = asyncio.create_task(self._listen(watch, wake))
        try:
            while True:
                if (news := watch.news(await self.status(media_id))) is not None:
                    yield news
                if watch.over(time.monotonic()):
                    return
                with suppress(TimeoutError):
                    await asyncio.wait_for(wake.wait(), watch.pause_s(time.monotonic()))
                wake.clear()
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def _listen(self, watch: Watch, wake: asyncio.Event) -> None:
        while not watch.over(time.monotonic()):
            try:
                async with aclosing(self.stream(limit_s=watch.left_s(time.monotonic()))) as events:
                    async for event in events:
                        if watch.concerns(event):
                            wake.set()
            except PASSING:
                pass  # The status is asked for all the same.
            except CodexMediaError:
                return
            watch.stream_ended()
            await asyncio.sleep(AFTER_STREAM_S)

    async def stream(
        self, *, last_event_id: str | None = None, limit_s: float = 3600.0
    ) -> AsyncGenerator[LiveEvent, None]:
        """One's items as they change, until the service ends the stream; see `follow`."""
        deadline = time.monotonic() + limit_s
        messages = Messages()
        async with self._streamed(calls.stream(last_event_id), limit_s) as answer:
            async for chunk in answer.aiter_bytes():
                for message in messages.feed(chunk):
                    if (event := live_event(message)) is not None:
                        yield event
                if time.monotonic() >= deadline:
                    return

    async def ledger(self, *, after: int = 0) -> AsyncGenerator[m.LedgerEvent, None]:
        """Every event after `after`, in the ledger's order (auditors)."""
        lines = Lines()
        async with self._streamed(calls.ledger(after)) as answer:
            async for chunk in answer.aiter_bytes():
                for line in lines.feed(chunk):
                    yield ledger_event(line)

    async def checkpoint(self) -> m.Checkpoint:
        """The newest signed checkpoint (auditors)."""
        return await self.send(calls.checkpoint())

    async def evidence(self, sha256: str) -> bytes:
        """The message that an event rests on, as it came (auditors)."""
        return await self.send(calls.evidence(sha256))

    async def bundle(self, out: Path) -> int:
        """Fetch what proves the history offline into `out` (auditors); its bytes.

        Whole, or not there.
        """
        unfinished = out.with_name(f".{out.name}.part")
        try:
            async with self._streamed(calls.bundle()) as answer:
                with await asyncio.to_thread(unfinished.open, "wb") as file:
                    async for chunk in answer.aiter_bytes():
                        await asyncio.to_thread(file.write, chunk)
            await asyncio.to_thread(unfinished.replace, out)
        finally:
            await asyncio.to_thread(unfinished.unlink, missing_ok=True)
        return (await asyncio.to_thread(out.stat)).st_size

    async def alive(self) -> m.Health:
        """Whether the process answers."""
        return await self.send(calls.alive())

    async def ready(self) -> m.Health:
        """Whether its parts answer; what is wrong, otherwise."""
        return await self.send(calls.ready())

    async def metrics(self) -> str:
        """The service's figures, for Prometheus."""
        return await self.send(calls.metrics())

    async def description(self) -> dict[str, Any]:
        """The service's OpenAPI document."""
        return await self.send(calls.description())

    async def send(self, call: Call[T]) -> T:
        """Send `call`, again where that helps; what its answer says."""
        tries = Tries(call.repeatable, self._patience_s, time.monotonic())
        while True:
            what = await self._try(call)
            done = isinstance(what, httpx.Response) and (
                what.is_success or what.status_code in call.taken
            )
            pause_s = None if done else tries.pause_after(what, time.monotonic())
            if pause_s is not None and self._met:
                await asyncio.sleep(pause_s)
                continue
            if isinstance(what, httpx.Response):
                return wire.outcome(call, what)
            raise wire.unreachable(self._http.base_url, what) from None

    async def _try(self, call: Call[T]) -> httpx.Response | httpx.HTTPError:
        try:
            answer = await self._http.send(wire.request(self._http, call))
        except httpx.HTTPError as error:
            return error
        self._met = True
        return answer

    @asynccontextmanager
    async def _streamed(
        self, call: Call[None], limit_s: float = 3600.0
    ) -> AsyncIterator[httpx.Response]:
        asked = wire.request(self._http, call)
        asked.extensions["timeout"] = wire.streaming(limit_s)
        try:
            answer = await self._http.send(asked, stream=True)
            try:
                if not answer.is_success:
                    await answer.aread()
                    raise refusal(answer)
                yield answer
            finally:
                await answer.aclose()
        except httpx.HTTPError as error:
            raise ServiceUnreachable(f"The answer to {call.operation} broke off: {error}") from None
