"""How an attempt ends, whichever channel tells: callback, native webhook, poll or deadline.

All of them come to the same commands, and the manifest in the bucket has the last word. A job is
not its attempt: one that was lost is replaced once, one that found another at work is forgotten.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from domain.commands import RecordCompletion, RecordFailure, RecordStart, RecordSubmission
from domain.errors import StorageUnavailable, TranscoderError
from domain.events import Context
from domain.failure import ErrorCode
from domain.handler import handle
from domain.lifecycle import Status
from domain.media import JOB_ID, MAX_JOBS_PER_ATTEMPT, MediaItem
from domain.ports import (
    Breaker,
    Breakers,
    Claims,
    EventStore,
    EvidenceKind,
    EvidenceLocker,
    JobPhase,
    JobState,
    Outbox,
    OutputGate,
    OutputsInvalid,
    Transcoder,
    WatchedJob,
    Watchlist,
)
from domain.use_cases.access import load_item, system

NO_MANIFEST = "The job reported success but wrote no manifest."
UNFINISHED = "Neither of the two machines that took the file up could finish it."
ALIVE = frozenset({JobPhase.QUEUED, JobPhase.RUNNING})
BUCKET_PATIENCE = timedelta(hours=1)
"""How long after its deadline an attempt waits for a bucket that does not answer."""
CLAIM_LIFE_S = 90.0
"""A claim that was not renewed for so long is nobody's. Workers give it up after a minute."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The sink of all reports about attempts."""

    store: EventStore
    transcoder: Transcoder
    gate: OutputGate
    claims: Claims
    outbox: Outbox
    watchlist: Watchlist
    breakers: Breakers
    evidence: EvidenceLocker
    claim_life_s: float = CLAIM_LIFE_S

    async def started(self, media_id: UUID, start: RecordStart, context: Context) -> MediaItem:
        """A worker took the attempt up."""
        await self.learn(media_id, start.attempt, start.runpod_job_id, context)
        return (await handle(self.store, media_id, start, context)).item

    async def learn(self, media_id: UUID, attempt: int, job_id: str, context: Context) -> MediaItem:
        """Record a job whose id nobody knew yet: the answer that named it was lost."""
        item = await load_item(self.store, media_id)
        known = job_id in item.job_ids or len(item.job_ids) >= MAX_JOBS_PER_ATTEMPT
        if not item.runs(attempt) or known or not re.fullmatch(JOB_ID, job_id):
            return item
        if await self.watchlist.find(job_id):  # Of another attempt.
            return item
        command = RecordSubmission(attempt, job_id)
        return (await handle(self.store, media_id, command, context)).item

    async def failed(self, media_id: UUID, failure: RecordFailure, context: Context) -> MediaItem:
        """A job gave its attempt up.

        While another job of the attempt may still do it, only the job has ended. A bucket that
        refuses workers is not the file's fault: dispatch pauses, and the attempt is sent again.
        """
        job_id = failure.runpod_job_id
        if job_id is None:
            item = await load_item(self.store, media_id)
        else:  # Unknown, its own call, which is not answered yet, would look like another job.
            item = await self.learn(media_id, failure.attempt, job_id, context)
        if not item.runs(failure.attempt):
            return item
        if failure.error_code is ErrorCode.STORAGE_UNAVAILABLE:
            await self.breakers.trip(Breaker.BUCKET, failure.message)
            if await self._goes_on(media_id, item, job_id):
                return item
        elif others := await self._others(media_id, job_id):
            if settled := await self._settle_from_bucket(media_id, item, job_id, context):
                return settled
            if await self._any_lives(others) and await self._yields(media_id, item, job_id):
                return item
        return await self._end(media_id, failure, job_id, context)

    async def _others(self, media_id: UUID, job_id: str | None) -> set[str]:
        return set(await self.watchlist.open_jobs(media_id)) - {job_id}

    async def _any_lives(self, job_ids: set[str]) -> bool:
        for job_id in sorted(job_ids):
            state = await self.transcoder.status(job_id)
            if state is not None and state.phase in ALIVE:
                return True
        return False

    async def _goes_on(self, media_id: UUID, item: MediaItem, job_id: str | None) -> bool:
        """Whether another job does the attempt in place of this one: an older or a new one."""
        if await self._yields(media_id, item, job_id):
            return True
        calls = await self.outbox.calls(media_id, item.attempt)
        if max(calls.made, len(item.job_ids)) >= MAX_JOBS_PER_ATTEMPT:
            return False
        # In this order: a crash in between asks again instead of forgetting the attempt.
        await self.outbox.add(media_id, item.attempt)
        await self._yields(media_id, item, job_id)
        return True

    async def _yields(self, media_id: UUID, item: MediaItem, job_id: str | None) -> bool:
        return await self.watchlist.close_for_another(media_id, item.attempt, job_id)

    async def completed(
        self, media_id: UUID, attempt: int, job_id: str, context: Context
    ) -> MediaItem:
        """A job is said to be done: `ready` if the bucket's manifest bears it out.

        What the report claims is not looked at. Unfit outputs fail the attempt with
        `output_invalid`; where there are none, the vendor is asked soon.
        """
        item = await self.learn(media_id, attempt, job_id, context)
        if not item.runs(attempt):
            return item
        settled = await self._settle_from_bucket(media_id, item, job_id, context)
        if settled is not None:
            return settled
        await self.watchlist.hurry(media_id, attempt)
        return item

    async def _end(
        self,
        media_id: UUID,
        command: RecordCompletion | RecordFailure,
        reporter: str | None,
        context: Context,
    ) -> MediaItem:
        handled = await handle(self.store, media_id, command, context)
        # Recognised after a broken connection, the item may be in its next attempt by now.
        ended = handled.appended and handled.item.attempt == command.attempt
        for job_id in handled.item.job_ids if ended else ():
            if job_id != reporter:
                with suppress(TranscoderError):  # Its own time limit ends it then.
                    await self.transcoder.cancel(job_id)
        return handled.item

    async def _settle_from_bucket(
        self, media_id: UUID, item: MediaItem, job_id: str | None, context: Context
    ) -> MediaItem | None:
        if item.attempt_id is None:
            return None
        found = await self.gate.inspect(media_id, item.creator_id, item.media_type, item.attempt_id)
        if found is None:
            return None
        if isinstance(found, OutputsInvalid):
            failure = RecordFailure(item.attempt, job_id, ErrorCode.OUTPUT_INVALID, found.reason)
            return await self._end(media_id, failure, job_id, context)
        return await self._end(media_id, RecordCompletion(item.attempt, found), job_id, context)

    async def reconcile(self, job: WatchedJob) -> None:
        """Ask the vendor how a job is, and act on an end that nobody reported."""
        item = await load_item(self.store, job.media_id)
        if not item.runs(job.attempt):
            await self.watchlist.close(job.job_id)
            return
        state = await self.transcoder.status(job.job_id)
        if state is not None and state.phase in ALIVE:
            return
        context = await self._resting_on(job.media_id, state)
        if await self._settle_from_bucket(job.media_id, item, job.job_id, context):
            return
        failure = None if state is None else _vendor_verdict(job, state)
        if failure is None:
            await self._replace(job, item, context)
        else:
            await self.failed(job.media_id, failure, context)

    async def _resting_on(self, media_id: UUID, state: JobState | None) -> Context:
        context = system("reconciler")
        if state is None or state.answer is None:
            return context
        evidence = await self.evidence.keep(media_id, EvidenceKind.RUNPOD_STATUS, state.answer)
        return context.model_copy(update={"evidence": evidence})

    async def _replace(self, job: WatchedJob, item: MediaItem, context: Context) -> None:
        """A job is gone without an outcome: let another one do the attempt, if it may have one."""
        holder = await self.claims.holder(item.creator_id, job.media_id, job.attempt)
        if holder is not None and not holder.released and holder.age_s < self.claim_life_s:
            if holder.job_id != job.job_id:
                await self.learn(job.media_id, job.attempt, holder.job_id, context)
                if await self.watchlist.find(holder.job_id):  # A restored database may lack it.
                    await self.watchlist.reopen(holder.job_id)
                    await self._yields(job.media_id, item, job.job_id)
            return  # It works, whatever the vendor knows of it.
        if await self._goes_on(job.media_id, item, job.job_id):
            return
        failure = RecordFailure(job.attempt, job.job_id, ErrorCode.WORKER_LOST, UNFINISHED)
        await self._end(job.media_id, failure, job.job_id, context)

    async def expire(self, media_id: UUID) -> None:
        """End an attempt that has outlived its deadline, and stop what still runs of it."""
        context = system("sweeper")
        item = await load_item(self.store, media_id)
        if item.status is not Status.TRANSCODING or item.deadline is None:
            return
        if await self.store.now() < item.deadline:
            return
        failure = _overdue(item)
        try:
            if await self._settle_from_bucket(media_id, item, item.runpod_job_id, context):
                return
        except StorageUnavailable:
            if await self.store.now() < item.deadline + BUCKET_PATIENCE:
                raise
            message = "The bucket could not be asked what became of the file."
            failure = failure._replace(error_code=ErrorCode.STORAGE_UNAVAILABLE, message=message)
        await self._end(media_id, failure, None, context)


def _overdue(item: MediaItem) -> RecordFailure:
    if item.job_ids:
        code = ErrorCode.TIMED_OUT
        message = "The file was not transcoded within the time allowed."
    else:
        code = ErrorCode.SUBMIT_UNREACHABLE
        message = "No machine could be reached within the time allowed."
    return RecordFailure(item.attempt, item.runpod_job_id, code, message)


def _vendor_verdict(job: WatchedJob, state: JobState) -> RecordFailure | None:
    """The failure that a job's end is for its attempt; None when the job was merely lost."""
    # The worker returns `code: sentence` as its error; whatever else is said is RunPod's own.
    if state.phase is JobPhase.SUCCEEDED and not state.superseded:
        return RecordFailure(job.attempt, job.job_id, ErrorCode.OUTPUT_INVALID, NO_MANIFEST)
    if state.phase is JobPhase.TIMED_OUT:
        message = "The job ran longer than allowed."
        return RecordFailure(job.attempt, job.job_id, ErrorCode.TIMED_OUT, message)
    code, _, message = (state.error or "").partition(": ")
    if state.phase is JobPhase.FAILED and message and code in set(ErrorCode):
        return RecordFailure(job.attempt, job.job_id, ErrorCode(code), message[:500])
    return None
