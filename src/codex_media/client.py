"""A client of the service that blocks."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

import httpx

from codex_media import calls, sending, wire
from codex_media import models as m
from codex_media.calls import Call
from codex_media.errors import CodexMediaError, ServiceUnreachable, refusal
from codex_media.events import Lines, LiveEvent, Messages, ledger_event, live_event
from codex_media.following import AFTER_STREAM_S, PASSING, Watch
from codex_media.retrying import Tries

T = TypeVar("T")


class MediaClient:
    """Calls the service at `base_url` as the bearer of `token`.

    A call that failed in passing is sent again, where that does no harm, for `patience_s` seconds
    at most; a service that never answered yet is told at once. Every method raises
    `CodexMediaError`. Safe to use from several threads.
    """

    def __init__(
        self,
        base_url: str,
        token: str | None,
        *,
        patience_s: float = wire.PATIENCE_S,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._base_url, self._token = base_url, token
        self._http = httpx.Client(
            base_url=base_url,
            headers=wire.headers(token),
            timeout=wire.TIMEOUT,
            trust_env=wire.proxied(base_url),
            transport=transport,
        )
        self._patience_s = patience_s
        self._met = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of every connection."""
        self._http.close()

    def session(self) -> m.Session:
        """Who the token says one is."""
        return self.send(calls.session())

    def register(
        self, file_name: str, content_type: str, size: int, *, idempotency_key: str | None = None
    ) -> m.Registered:
        """Announce a file of `size` bytes; where to send it is in the answer.

        The same `idempotency_key` with the same file names the same item again.
        """
        return self.send(calls.register(file_name, content_type, size, idempotency_key))

    def page(
        self, *, status: str | None = None, cursor: str | None = None, limit: int | None = None
    ) -> m.MediaPage:
        """A page of one's items, newest first."""
        return self.send(calls.page(status, cursor, limit))

    def items(self, *, status: str | None = None) -> Iterator[m.Media]:
        """All of one's items, newest first, page by page as they are taken."""
        cursor: str | None = None
        while True:
            found = self.page(status=status, cursor=cursor)
            yield from found.items
            if (cursor := found.next_cursor) is None:
                return

    def media(
        self, media_id: UUID, *, version: int | None = None, at: datetime | None = None
    ) -> m.Media:
        """The item; as after `version` events, or as of `at`, where one is given."""
        return self.send(calls.media(media_id, version, at))

    def renew(self, media_id: UUID) -> m.Registered:
        """The item, and fresh URLs of what is missing of its file."""
        return self.send(calls.renew(media_id))

    def abandon(self, media_id: UUID) -> m.Media:
        """Give up an upload."""
        return self.send(calls.abandon(media_id))

    def complete(self, media_id: UUID) -> m.Media:
        """Say that the file is there; transcoding begins."""
        return self.send(calls.complete(media_id))

    def upload(
        self,
        file: Path,
        content_type: str,
        *,
        sent: Callable[[int], None] = lambda _: None,
        idempotency_key: str | None = None,
    ) -> m.Media:
        """Register `file`, send it (large ones in parts), complete it; the item.

        `sent` is told the bytes of each chunk; fewer than none, when a part is sent anew.
        """
        size = file.stat().st_size
        found = self.register(file.name, content_type, size, idempotency_key=idempotency_key)
        if found.upload is not None:
            sending.send(self, found.media.id, file, found.upload, sent)
        return self.complete(found.media.id)

    def erase(self, media_id: UUID) -> m.Media:
        """Erase the item for good."""
        return self.send(calls.erase(media_id))

    def history(self, media_id: UUID) -> m.History:
        """The item's events."""
        return self.send(calls.history(media_id))

    def playback(self, media_id: UUID) -> m.Playback:
        """URLs that a player can load."""
        return self.send(calls.playback(media_id))

    def status(self, media_id: UUID) -> m.MediaStatus:
        """The item's status."""
        return self.send(calls.status(media_id))

    def retry(self, media_id: UUID) -> m.Media:
        """Try a failed item again."""
        return self.send(calls.retry(media_id))

    def follow(self, media_id: UUID, limit_s: float) -> Iterator[m.MediaStatus]:
        """The status, and again when it changed, until it is final; for `limit_s` seconds at most.

        Changes are pushed; where they cannot be, they are asked for.
        """
        watch = Watch(media_id, time.monotonic() + limit_s)
        with self._listening(watch) as wake:
            while True:
                if (news := watch.news(self.status(media_id))) is not None:
                    yield news
                if watch.over(time.monotonic()):
                    return
                wake.wait(watch.pause_s(time.monotonic()))
                wake.clear()

    @contextmanager
    def _listening(self, watch: Watch) -> Iterator[threading.Event]:
        """What is set when a stream speaks of the item; its thread ends soon after the block."""
        wake, stop = threading.Event(), threading.Event()
        listener = MediaClient(self._base_url, self._token, patience_s=0)
        arguments = (listener, watch, wake, stop)
        threading.Thread(target=_listen, args=arguments, name="follow", daemon=True).start()
        try:
            yield wake
        finally:
            stop.set()

    def stream(
        self, *, last_event_id: str | None = None, limit_s: float = 3600.0
    ) -> Iterator[LiveEvent]:
        """One's items as they change, until the service ends the stream; see `follow`."""
        deadline = time.monotonic() + limit_s
        messages = Messages()
        with self._streamed(calls.stream(last_event_id), limit_s) as answer:
            for chunk in answer.iter_bytes():
                for message in messages.feed(chunk):
                    if (event := live_event(message)) is not None:
                        yield event
                if time.monotonic() >= deadline:
                    return

    def ledger(self, *, after: int = 0) -> Iterator[m.LedgerEvent]:
        """Every event after `after`, in the ledger's order (auditors)."""
        lines = Lines()
        with self._streamed(calls.ledger(after)) as answer:
            for chunk in answer.iter_bytes():
                yield from map(ledger_event, lines.feed(chunk))

    def checkpoint(self) -> m.Checkpoint:
        """The newest signed checkpoint (auditors)."""
        return self.send(calls.checkpoint())

    def evidence(self, sha256: str) -> bytes:
        """The message that an event rests on, as it came (auditors)."""
        return self.send(calls.evidence(sha256))

    def bundle(self, out: Path) -> int:
        """Fetch what proves the history offline into `out` (auditors); its bytes.

        Whole, or not there.
        """
        unfinished = out.with_name(f".{out.name}.part")
        try:
            with self._streamed(calls.bundle()) as answer, unfinished.open("wb") as file:
                for chunk in answer.iter_bytes():
                    file.write(chunk)
            unfinished.replace(out)
        finally:
            unfinished.unlink(missing_ok=True)
        return out.stat().st_size

    def alive(self) -> m.Health:
        """Whether the process answers."""
        return self.send(calls.alive())

    def ready(self) -> m.Health:
        """Whether its parts answer; what is wrong, otherwise."""
        return self.send(calls.ready())

    def metrics(self) -> str:
        """The service's figures, for Prometheus."""
        return self.send(calls.metrics())

    def description(self) -> dict[str, Any]:
        """The service's OpenAPI document."""
        return self.send(calls.description())

    def send(self, call: Call[T]) -> T:
        """Send `call`, again where that helps; what its answer says."""
        tries = Tries(call.repeatable, self._patience_s, time.monotonic())
        while True:
            what = self._try(call)
            done = isinstance(what, httpx.Response) and (
                what.is_success or what.status_code in call.taken
            )
            pause_s = None if done else tries.pause_after(what, time.monotonic())
            if pause_s is not None and self._met:
                time.sleep(pause_s)
                continue
            if isinstance(what, httpx.Response):
                return wire.outcome(call, what)
            raise wire.unreachable(self._http.base_url, what) from None

    def _try(self, call: Call[T]) -> httpx.Response | httpx.HTTPError:
        try:
            answer = self._http.send(wire.request(self._http, call))
        except httpx.HTTPError as error:
            return error
        self._met = True
        return answer

    @contextmanager
    def _streamed(self, call: Call[None], limit_s: float = 3600.0) -> Iterator[httpx.Response]:
        asked = wire.request(self._http, call)
        asked.extensions["timeout"] = wire.streaming(limit_s)
        try:
            answer = self._http.send(asked, stream=True)
            try:
                if not answer.is_success:
                    answer.read()
                    raise refusal(answer)
                yield answer
            finally:
                answer.close()
        except httpx.HTTPError as error:
            raise ServiceUnreachable(f"The answer to {call.operation} broke off: {error}") from None


def _listen(
    client: MediaClient, watch: Watch, wake: threading.Event, stop: threading.Event
) -> None:
    with client:
        while not stop.is_set() and not watch.over(time.monotonic()):
            try:
                for event in client.stream(limit_s=watch.left_s(time.monotonic())):
                    if stop.is_set():
                        return
                    if watch.concerns(event):
                        wake.set()
            except PASSING:
                pass  # The status is asked for all the same.
            except CodexMediaError:
                return
            watch.stream_ended()
            stop.wait(AFTER_STREAM_S)
