"""Sending a file to the bucket: in one request, or in parts, several at once, what is missing."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple, Protocol
from uuid import UUID

import httpx

from codex_media.errors import ServiceUnreachable, UploadInterrupted, UploadRefused
from codex_media.models import Part, PartsUpload, Registered, SingleUpload
from codex_media.wire import proxied

CHUNK_BYTES = 256 * 1024
TIMEOUT = httpx.Timeout(60.0, connect=10.0)
AT_ONCE = 4
TRIES = 6
FIRST_PAUSE_S, LAST_PAUSE_S = 0.5, 8.0
"""Between the tries of a part: doubled from the first to the last."""

Sent = Callable[[int], None]
"""Told the bytes of each chunk; fewer than none, when a part has to be sent anew."""


class Renews(Protocol):
    """Who gives fresh URLs for what is missing of an item's file."""

    def renew(self, media_id: UUID) -> Registered:
        """The item, and how to send what is missing."""


class Slice(NamedTuple):
    """Some of a file's bytes."""

    file: Path
    begin: int
    size: int

    def chunks(self, sent: Sent) -> Iterator[bytes]:
        """The bytes, told as they go."""
        left = self.size
        with self.file.open("rb") as source:
            source.seek(self.begin)
            while chunk := source.read(min(CHUNK_BYTES, left)):
                yield chunk
                left -= len(chunk)
                sent(len(chunk))


def send(
    client: Renews,
    media_id: UUID,
    file: Path,
    upload: SingleUpload | PartsUpload,
    sent: Sent,
) -> None:
    """Send what the bucket lacks of `file`.

    Raises `UploadRefused` for what it does not want, `ServiceUnreachable` where nobody answers.
    """
    if isinstance(upload, SingleUpload):
        _send_whole(file, upload, sent)
    else:
        _Parts(client, media_id, file, upload, sent).send()


async def send_beside(
    client: Renews, media_id: UUID, file: Path, upload: SingleUpload | PartsUpload, sent: Sent
) -> None:
    """`send`, in threads of its own, which end soon after this is cancelled."""
    stop = threading.Event()

    def tell(count: int) -> None:
        if stop.is_set():
            raise UploadInterrupted("The upload was cancelled.")
        sent(count)

    try:
        await asyncio.to_thread(send, client, media_id, file, upload, tell)
    finally:
        stop.set()


def _send_whole(file: Path, upload: SingleUpload, sent: Sent) -> None:
    try:
        answer = httpx.put(
            upload.url,
            content=Slice(file, 0, file.stat().st_size).chunks(sent),
            headers=upload.headers,
            timeout=TIMEOUT,
            trust_env=proxied(upload.url),
        )
    except httpx.HTTPError as error:
        raise ServiceUnreachable(f"The bucket did not answer: {error}") from None
    # 412: an earlier try arrived after all, and the URL never overwrites.
    if answer.status_code not in {200, 201, 204, 412}:
        raise _refused(answer.status_code)


def _refused(status: int) -> UploadRefused:
    return UploadRefused(status, "upload_refused", f"The bucket answered {status}.")


class _Parts:
    """One file's missing parts, under way."""

    def __init__(
        self, client: Renews, media_id: UUID, file: Path, upload: PartsUpload, sent: Sent
    ) -> None:
        self._client = client
        self._media_id = media_id
        self._file = file
        self._size = upload.part_size
        self._missing = upload.parts
        self._urls = {part.number: part.url for part in upload.parts}
        self._sent = sent
        self._stop = threading.Event()
        self._renewing = threading.Lock()

    def send(self) -> None:
        trust_env = bool(self._missing) and proxied(self._missing[0].url)
        with (
            httpx.Client(timeout=TIMEOUT, trust_env=trust_env) as bucket,
            ThreadPoolExecutor(AT_ONCE) as pool,
        ):
            under_way = [pool.submit(self._send_part, bucket, part) for part in self._missing]
            try:
                wait(under_way, return_when=FIRST_EXCEPTION)
                _raise_first(under_way)
            finally:  # An interrupted upload keeps what has arrived, and ends quickly.
                self._stop.set()
                pool.shutdown(cancel_futures=True)

    def _send_part(self, bucket: httpx.Client, part: Part) -> None:
        said: str | None = None
        for tried in range(TRIES):
            if tried:
                self._stop.wait(min(FIRST_PAUSE_S * 2 ** (tried - 1), LAST_PAUSE_S))
            if self._stop.is_set():
                return
            url = self._urls[part.number]
            said = self._try(bucket, part, url)
            if said is None:
                return
            self._renew(part.number, url)  # It may have expired.
        raise UploadInterrupted(f"Part {part.number} could not be sent {TRIES} times: {said}.")

    def _try(self, bucket: httpx.Client, part: Part, url: str) -> str | None:
        """What went wrong, if anything did."""
        told = 0

        def tell(count: int) -> None:
            nonlocal told
            if self._stop.is_set():
                raise httpx.WriteError("interrupted")
            told += count
            self._sent(count)

        body = Slice(self._file, (part.number - 1) * self._size, part.size).chunks(tell)
        headers = {"content-length": str(part.size)}
        try:
            answer = bucket.put(url, content=body, headers=headers)
        except httpx.HTTPError as error:
            said = f"{type(error).__name__} {error}".strip()
        else:
            if answer.is_success:
                return None
            said = f"the bucket answered {answer.status_code}"
        self._sent(-told)
        return said

    def _renew(self, number: int, expired: str) -> None:
        with self._renewing:
            if self._urls[number] != expired:  # Another part's failure has renewed all.
                return
            try:
                upload = self._client.renew(self._media_id).upload
            except ServiceUnreachable:
                return  # The old one may still be good.
            if isinstance(upload, PartsUpload):
                self._urls |= {part.number: part.url for part in upload.parts}


def _raise_first(under_way: list["Future[None]"]) -> None:
    for each in under_way:
        if each.done() and not each.cancelled() and (error := each.exception()):
            raise error
