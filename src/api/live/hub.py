"""One reader of the ledger a process, however many clients: it hands each what is its creator's."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from uuid import UUID

from api.live import messages
from api.live.subscription import End, Subscription
from api.problems import ApiError
from gpu_worker.contract_logs import apart
from infra.bootstrap import Services
from infra.figures.process import STREAMS_DROPPED, STREAMS_OPEN, Invariant, violated
from infra.ledger import sealer
from infra.postgres import progress
from infra.postgres.listener import listen
from infra.postgres.live import Change, LiveReads, RunningItem
from infra.postgres.pool import UNAVAILABLE
from infra.settings import Settings

PAGE = 1_000
POLL_S = 2.0
"""A notification that was lost is made up for within so long."""
AFTER_ERROR_S = 1.0
RETRY_AFTER_S = 10

log = logging.getLogger(__name__)


class Hub:
    """The process's open streams. It connects to the database with the first of them."""

    def __init__(self, settings: Settings, reads: LiveReads) -> None:
        self._settings = settings
        self.reads = reads
        self._open: defaultdict[str, set[Subscription]] = defaultdict(set)
        self._count = 0
        self._head = -1
        """What the ledger holds up to here was handed out; before the first stream, -1."""
        self._wake = asyncio.Event()
        self._moved: set[UUID] = set()
        """Items whose progress changed."""
        self._look_at_all = False
        self._starting = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._closed = False

    async def subscribe(self, creator: str, last: int | None) -> Subscription:
        """A stream of the creator's, after event `last` of the ledger if the ledger has that one.

        429 or 503 beyond the limits of streams. Each subscription must be given back to `leave`.
        """
        await self._start()
        if last is not None and last > self._head and last > await self.reads.size():
            last = None  # Of another ledger, or of one that was restored since.
        self._admit(creator)
        # From here on without a pause: what is handed out next is what comes after the head.
        resumed = last is not None
        after = self._head if last is None else last
        subscription = Subscription(creator, after, self._head, resumed=resumed)
        self._open[creator].add(subscription)
        self._count += 1
        STREAMS_OPEN.inc()
        return subscription

    def _admit(self, creator: str) -> None:
        if self._closed:
            raise ApiError(503, "unavailable", "This process ends. Connect again.", 1)
        if self._count >= self._settings.streams_per_process:
            STREAMS_DROPPED.labels("full").inc()
            detail = "This process has as many event streams as it takes. Try again later."
            raise ApiError(503, "streams_full", detail, RETRY_AFTER_S)
        if len(self._open.get(creator, ())) >= self._settings.streams_per_creator:
            STREAMS_DROPPED.labels("many").inc()
            most = self._settings.streams_per_creator
            detail = f"You have {most} event streams open. Close one, or share it between pages."
            raise ApiError(429, "too_many_streams", detail, RETRY_AFTER_S)

    def leave(self, subscription: Subscription) -> None:
        """Forget a stream that was left, or has ended."""
        streams = self._open.get(subscription.creator, set())
        if subscription not in streams:
            return
        streams.remove(subscription)
        if not streams:
            del self._open[subscription.creator]
        self._count -= 1
        STREAMS_OPEN.dec()
        if subscription.ended is End.SLOW:
            STREAMS_DROPPED.labels("slow").inc()
            log.info("a slow event stream was dropped: creator=%s", subscription.creator)

    def end_all(self, why: End = End.SHUTDOWN) -> None:
        """End every stream; with a shutdown, take no more."""
        self._closed = self._closed or why is End.SHUTDOWN
        for subscription in self._all():
            subscription.end(why)

    def _all(self) -> Iterable[Subscription]:
        return [each for streams in self._open.values() for each in streams]

    async def close(self) -> None:
        """End every stream, and let go of the database."""
        self.end_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _start(self) -> None:
        async with self._starting:
            if self._head >= 0:
                return
            self._head = await self.reads.size()
            dsn = self._settings.database_url.get_secret_value()
            channels = (sealer.CHANNEL, progress.CHANNEL)
            listening = listen(dsn, channels, self._heard, self._connected)
            # They serve everybody, not who came first.
            self._tasks = [
                asyncio.create_task(listening, name="listener", context=apart()),
                asyncio.create_task(self._hand_out(), name="hub", context=apart()),
            ]

    def _heard(self, channel: str, payload: str) -> None:
        if channel == progress.CHANNEL:
            self._moved.update(progress.ids_of(payload))
        self._wake.set()

    def _connected(self) -> None:
        self._look_at_all = True  # What was notified before was not heard.
        self._wake.set()

    async def _hand_out(self) -> None:
        while True:
            try:
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            try:
                await self._hand_out_events()
                await self._hand_out_progress()
            except UNAVAILABLE as error:
                log.warning("event streams wait: %s: %s", type(error).__name__, error)
                await asyncio.sleep(AFTER_ERROR_S)
                self._look_at_all = True
            except Exception:  # one event we choke on must not stop all others
                log.exception("event streams: unexpected; going on")
                await asyncio.sleep(AFTER_ERROR_S)

    async def _hand_out_events(self) -> None:
        size = await self.reads.size()
        if size < self._head:
            log.warning("the ledger is shorter than it was: every event stream begins anew")
            violated(Invariant.LEDGER)
            self._head = size
            self.end_all(End.RESTORED)
        while self._head < size:
            upto = min(size, self._head + PAGE)
            found = await self._changes(self._head, upto)
            # Without a pause: whoever subscribes in between gets these too.
            self._head = upto
            for change in found:
                self._deliver(change)

    async def _changes(self, after: int, upto: int) -> list[Change]:
        """The events of everybody who has a stream, those included who come while we ask."""
        found: list[Change] = []
        asked: set[str] = set()
        while wanted := self._open.keys() - asked:
            found += await self.reads.changes(after, upto, wanted)
            asked |= wanted
        return sorted(found, key=lambda change: change.seq)

    def _deliver(self, change: Change) -> None:
        message = messages.changed(change)
        for subscription in self._open.get(change.row.creator_id, ()):
            subscription.offer(change.seq, change.row.id, message)

    async def _hand_out_progress(self) -> None:
        everything, moved = self._look_at_all, self._moved
        self._look_at_all, self._moved = False, set()
        if not self._open or not (everything or moved):
            return
        creators = list(self._open)
        if everything:
            found = await self.reads.all_progress(creators)
        else:
            found = await self.reads.progress(moved, creators)
        for item in found:
            self._deliver_progress(item)

    def _deliver_progress(self, item: RunningItem) -> None:
        message = messages.progressed(item)
        for subscription in self._open.get(item.creator_id, ()):
            subscription.offer_progress(item.media_id, message)


@asynccontextmanager
async def open_hub(services: Services) -> AsyncIterator[Hub]:
    """The hub of a process, until the end of the block."""
    hub = Hub(services.settings, services.live)
    try:
        yield hub
    finally:
        await hub.close()
