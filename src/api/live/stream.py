"""`GET /api/transcoding/events`: one creator's changes and progress, as they happen."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from api.live import messages
from api.live.hub import Hub
from api.live.subscription import End, Subscription
from api.operations import Call
from api.parameters import MAX_SEQ_DIGITS
from infra.postgres.pool import UNAVAILABLE

MEDIA_TYPE = "text/event-stream"
KEEP_ALIVE_S = 15.0
SEND_TIMEOUT_S = 30.0
"""A client that takes nothing for so long is gone, or as good as gone."""
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
"""Proxies pass every message on at once."""

log = logging.getLogger(__name__)


async def read_stream(call: Call) -> Response:
    """Status and progress of one's own media as they change, as server-sent events.

    `Last-Event-ID` resumes after that event of the ledger, with nothing missed and nothing twice;
    one that the ledger does not have begins anew, with `open`. The stream ends with the token.
    """
    hub: Hub = call.request.app.state.hub
    last = _last(call.request.headers.get("last-event-id", ""))
    subscription = await hub.subscribe(call.principal.subject, last)
    return EventStream(hub, subscription, call.principal.expires_at)


def _last(text: str) -> int | None:
    # Not refused: a browser that is answered an error never connects again.
    known = text.isascii() and text.isdecimal() and len(text) <= MAX_SEQ_DIGITS
    return int(text) if known else None


class EventStream(StreamingResponse):
    """The answer. Given up by its end, however that comes, is the subscription."""

    def __init__(self, hub: Hub, subscription: Subscription, expires_at: float) -> None:
        super().__init__(self._messages(), headers=HEADERS, media_type=MEDIA_TYPE)
        self._hub = hub
        self._subscription = subscription
        self._expires_at = expires_at

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send messages until the client leaves or the stream ends."""

        async def send_in_time(message: Message) -> None:
            try:
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await send(message)
            except TimeoutError:
                self._subscription.end(End.SLOW)
                raise ClientDisconnect from None

        try:
            await super().__call__(scope, receive, send_in_time)
        except ClientDisconnect:
            return
        finally:
            self._hub.leave(self._subscription)

    async def _messages(self) -> AsyncIterator[bytes]:
        try:
            async for past in self._past():
                yield past
            while not self._subscription.ended:
                left_s = self._expires_at - time.time()
                if left_s <= 0:
                    return
                waiting = await self._subscription.next(min(left_s, KEEP_ALIVE_S))
                yield waiting or messages.KEEP_ALIVE
        except UNAVAILABLE as error:
            # The client connects again, and resumes where it is.
            log.warning("an event stream ends: %s: %s", type(error).__name__, error)

    async def _past(self) -> AsyncIterator[bytes]:
        """What the client missed; then how far its running items are."""
        mine = self._subscription
        yield messages.RETRY if mine.resumed else messages.RETRY + messages.opened(mine.after)
        if mine.after < mine.joined:
            async for page in self._hub.reads.changes_of(mine.creator, mine.after, mine.joined):
                yield b"".join(map(messages.changed, page))
        running = await self._hub.reads.all_progress([mine.creator])
        if running:
            yield b"".join(map(messages.progressed, running))
