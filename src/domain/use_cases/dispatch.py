"""Sending attempts to the transcoder.

A call to the vendor has three outcomes: a job with an id, a sure no, or nobody knows. What may have
queued a job is counted before it is made, and there are at most two such calls an attempt; the
worker's claim tells which job works, and makes a second one harmless.
"""

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from domain.commands import RecordFailure, RecordSubmission, RetryTranscoding
from domain.errors import (
    AccessDenied,
    InvalidTransition,
    StorageUnavailable,
    TranscoderError,
    TranscoderForbidden,
    TranscoderRejected,
    TranscoderUnavailable,
    TranscoderUnknown,
)
from domain.events import Context, StoredEvent, TranscodingRequested
from domain.failure import ErrorCode
from domain.handler import handle
from domain.media import MAX_JOBS_PER_ATTEMPT, MediaItem, fold
from domain.ports import (
    Breaker,
    Breakers,
    Calls,
    Claims,
    EventStore,
    Lease,
    Outbox,
    Transcoder,
    TranscodingJob,
)
from domain.use_cases.access import load_owned, system

FIRST_BACKOFF_S = 2.0
LAST_BACKOFF_S = 120.0
CANCEL_LIMIT_S = 3.0
"""How long a creator's retry waits for older jobs to be cancelled."""


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Retry, and the one way a job is submitted."""

    store: EventStore
    transcoder: Transcoder
    outbox: Outbox
    claims: Claims
    breakers: Breakers
    window: timedelta
    """How long an attempt may take, from its request to its end."""
    unknown_wait_s: float
    """How long to wait for a sign of a job that may have been queued, before calling again."""

    async def retry(self, media_id: UUID, creator_id: str, context: Context) -> MediaItem:
        """Begin the second attempt of a failed item and try to send it at once.

        What may still run of the first is cancelled. Raises `RetryRefused` with the reason,
        `TranscodingRunning` while a job runs.
        """
        failed = await load_owned(self.store, media_id, creator_id)
        deadline = await self.store.now() + self.window
        command = RetryTranscoding(media_id, context.actor, failed.attempt, deadline)
        handled = await handle(self.store, media_id, command, context)
        item = await self.send_at_once(media_id, handled.item)
        if handled.appended:
            await self._cancel_all(failed.job_ids)
        return item

    async def _cancel_all(self, job_ids: tuple[str, ...]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(CANCEL_LIMIT_S):
                for job_id in job_ids:
                    with suppress(TranscoderError):  # Its own time limit ends it then.
                        await self.transcoder.cancel(job_id)

    async def send_at_once(self, media_id: UUID, item: MediaItem) -> MediaItem:
        """Send the item's waiting attempt, if there is one that nobody else is sending."""
        lease = await self.outbox.take(media_id)
        return item if lease is None else await self.send(lease)

    async def send(self, lease: Lease) -> MediaItem:
        """See to it that a leased attempt has a job.

        An attempt that is over, or had its jobs, gets none. A yes is recorded with the job's id; a
        final no fails the attempt with `submit_rejected`; a sure no for now leaves it for later;
        after an unknown answer the claim is waited for before another call.
        """
        history = await self.store.load(lease.media_id)
        item = fold(stored.event for stored in history)
        if item is None:
            raise AccessDenied(lease.media_id)
        if not item.runs(lease.attempt) or len(item.job_ids) >= MAX_JOBS_PER_ATTEMPT:
            await self.outbox.drop(lease)
            return item
        calls = await self.outbox.calls(lease.media_id, lease.attempt)
        if calls.made > len(item.job_ids):
            return await self._find_out(lease, item, history, calls)
        return await self._call(lease, item, history)

    async def _find_out(
        self, lease: Lease, item: MediaItem, history: list[StoredEvent], calls: Calls
    ) -> MediaItem:
        """A call was made and nobody knows what came of it: look for its job's claim."""
        try:
            holder = await self.claims.holder(item.creator_id, lease.media_id, item.attempt)
        except StorageUnavailable as error:
            await self.outbox.postpone(lease, backoff_s(lease.tries), str(error))
            return item
        if holder is not None and holder.job_id not in item.job_ids:
            return await self._submitted(lease, holder.job_id)
        left_s = self.unknown_wait_s - calls.age_s
        if left_s <= 0 and calls.made < MAX_JOBS_PER_ATTEMPT:
            return await self._call(lease, item, history)
        wait_s = left_s if left_s > 0 else LAST_BACKOFF_S
        waiting = "RunPod did not say whether it queued the job; waiting for a sign of it"
        await self.outbox.postpone(lease, min(wait_s, self.unknown_wait_s, LAST_BACKOFF_S), waiting)
        return item

    async def _call(self, lease: Lease, item: MediaItem, history: list[StoredEvent]) -> MediaItem:
        job = job_of(lease.media_id, item, history)
        if not await self.outbox.begin_call(lease):
            await self.outbox.postpone(lease, LAST_BACKOFF_S, "every call was made")
            return item
        try:
            job_id = await self.transcoder.submit(job, await self.store.now())
        except TranscoderUnknown as error:
            await self.outbox.postpone(lease, self.unknown_wait_s, str(error))
            return item
        except TranscoderUnavailable as error:
            await self.outbox.take_back_call(lease)
            delay_s = max(backoff_s(lease.tries), min(error.retry_after_s or 0, LAST_BACKOFF_S))
            await self.outbox.postpone(lease, delay_s, str(error))
            return item
        except TranscoderRejected as error:
            if isinstance(error, TranscoderForbidden):  # Everybody else's attempt would fail too.
                await self.breakers.trip(Breaker.RUNPOD_KEY, str(error))
            refusal = RecordFailure(lease.attempt, None, ErrorCode.SUBMIT_REJECTED, str(error))
            return (await handle(self.store, lease.media_id, refusal, system("dispatcher"))).item
        return await self._submitted(lease, job_id)

    async def _submitted(self, lease: Lease, job_id: str) -> MediaItem:
        command = RecordSubmission(lease.attempt, job_id)
        item = (await handle(self.store, lease.media_id, command, system("dispatcher"))).item
        if job_id not in item.job_ids:  # The attempt ended while the job was being queued.
            await self._cancel_all((job_id,))
        return item


def backoff_s(tries: int) -> float:
    """Seconds until the next try after `tries` of them, with jitter.

    Jitter keeps replicas from returning in step after an outage.
    """
    ceiling = min(LAST_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** min(tries, 16))
    return ceiling * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing


def job_of(media_id: UUID, item: MediaItem, history: list[StoredEvent]) -> TranscodingJob:
    """What the transcoder is asked to do for an item's attempt, the newest."""
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
        input_key=item.stored_key,
        input_etag=item.etag,
        traceparent=request.context.traceparent,
        deadline=item.deadline,
    )
