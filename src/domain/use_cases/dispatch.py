"""Sending attempts to the transcoder."""

import random
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from domain.commands import RecordFailure, RecordSubmission, RetryTranscoding
from domain.errors import (
    AccessDenied,
    InvalidTransition,
    TranscoderError,
    TranscoderRejected,
    TranscoderUnavailable,
)
from domain.events import Context, StoredEvent, TranscodingRequested
from domain.failure import ErrorCode
from domain.handler import handle
from domain.media import MAX_JOBS_PER_ATTEMPT, MediaItem, fold
from domain.ports import EventStore, Lease, Outbox, Transcoder, TranscodingJob
from domain.use_cases.access import load_owned, system

FIRST_BACKOFF_S = 2.0
LAST_BACKOFF_S = 120.0


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Retry, and the one way a job is submitted."""

    store: EventStore
    transcoder: Transcoder
    outbox: Outbox
    window: timedelta
    """How long an attempt may take, from its request to its end."""

    async def retry(self, media_id: UUID, creator_id: str, context: Context) -> MediaItem:
        """Begin the second attempt of a failed item and try to send it at once.

        Raises `RetryRefused` with the reason, `TranscodingRunning` while a job runs.
        """
        await load_owned(self.store, media_id, creator_id)
        deadline = await self.store.now() + self.window
        command = RetryTranscoding(media_id, context.actor, deadline)
        item = (await handle(self.store, media_id, command, context)).item
        return await self.send_at_once(media_id, item)

    async def send_at_once(self, media_id: UUID, item: MediaItem) -> MediaItem:
        """Send the item's waiting attempt, if there is one that nobody else is sending."""
        lease = await self.outbox.take(media_id)
        return item if lease is None else await self.send(lease)

    async def send(self, lease: Lease) -> MediaItem:
        """Send a leased attempt to the transcoder.

        An attempt that is over, or had its jobs, gets none. A yes is recorded with the job's id; a
        final no fails the attempt with `submit_rejected`; no answer leaves it for later.
        """
        history = await self.store.load(lease.media_id)
        item = fold(stored.event for stored in history)
        if item is None:
            raise AccessDenied(lease.media_id)
        if not item.runs(lease.attempt) or len(item.job_ids) >= MAX_JOBS_PER_ATTEMPT:
            await self.outbox.drop(lease)
            return item
        job = _job(lease.media_id, item, history)
        try:
            job_id = await self.transcoder.submit(job, await self.store.now())
        except TranscoderUnavailable as error:
            await self.outbox.postpone(lease, backoff_s(lease.tries), str(error))
            return item
        except TranscoderRejected as error:
            refusal = RecordFailure(lease.attempt, None, ErrorCode.SUBMIT_REJECTED, str(error))
            return (await handle(self.store, lease.media_id, refusal, system("dispatcher"))).item
        return await self._submitted(lease, job_id)

    async def _submitted(self, lease: Lease, job_id: str) -> MediaItem:
        command = RecordSubmission(lease.attempt, job_id)
        item = (await handle(self.store, lease.media_id, command, system("dispatcher"))).item
        if job_id not in item.job_ids:  # The attempt ended while the job was being queued.
            with suppress(TranscoderError):  # Its own time limit ends it then.
                await self.transcoder.cancel(job_id)
        return item


def backoff_s(tries: int) -> float:
    """Seconds until the next try after `tries` of them, with jitter.

    Jitter keeps replicas from returning in step after an outage.
    """
    ceiling = min(LAST_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** min(tries, 16))
    return ceiling * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing


def _job(media_id: UUID, item: MediaItem, history: list[StoredEvent]) -> TranscodingJob:
    request = next(
        stored for stored in reversed(history) if isinstance(stored.event, TranscodingRequested)
    )
    if item.attempt_id is None or item.etag is None or item.deadline is None:
        raise InvalidTransition(item.status, "sending a job")
    return TranscodingJob(
        media_id=media_id,
        attempt=item.attempt,
        attempt_id=item.attempt_id,
        media_type=item.media_type,
        creator_id=item.creator_id,
        input_key=item.input_key,
        input_etag=item.etag,
        traceparent=request.context.traceparent,
        deadline=item.deadline,
    )
