"""How an attempt ends, whichever channel tells: callback, native webhook, poll or deadline.

All of them come to the same commands, and the manifest in the bucket has the last word.
"""

from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from domain.commands import RecordCompletion, RecordFailure, RecordStart
from domain.errors import TranscoderError
from domain.events import Context
from domain.failure import ErrorCode
from domain.handler import handle
from domain.lifecycle import Status
from domain.media import MAX_JOBS_PER_ATTEMPT, MediaItem
from domain.ports import (
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


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The sink of all reports about attempts."""

    store: EventStore
    transcoder: Transcoder
    gate: OutputGate
    outbox: Outbox
    watchlist: Watchlist
    evidence: EvidenceLocker

    async def started(self, media_id: UUID, start: RecordStart, context: Context) -> MediaItem:
        """A worker took the attempt up."""
        return (await handle(self.store, media_id, start, context)).item

    async def failed(self, media_id: UUID, failure: RecordFailure, context: Context) -> MediaItem:
        """A worker gave the attempt up."""
        return await self._end(media_id, failure, failure.runpod_job_id, context)

    async def completed(
        self, media_id: UUID, attempt: int, job_id: str, context: Context
    ) -> MediaItem:
        """A job is said to be done: `ready` if the bucket's manifest bears it out.

        What the report claims is not looked at. Unfit outputs fail the attempt with
        `output_invalid`; where there are none, the vendor is asked soon.
        """
        item = await load_item(self.store, media_id)
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
        open_jobs = await self.watchlist.open_jobs(media_id)
        handled = await handle(self.store, media_id, command, context)
        for job_id in open_jobs if handled.appended else ():
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
            return await self.failed(media_id, failure, context)
        return await self._end(media_id, RecordCompletion(item.attempt, found), job_id, context)

    async def reconcile(self, job: WatchedJob) -> None:
        """Ask the vendor how a job is, and act on an end that nobody reported."""
        item = await load_item(self.store, job.media_id)
        if not item.runs(job.attempt):
            await self.watchlist.close(job.job_id)
            return
        state = await self.transcoder.status(job.job_id)
        if state is not None and state.phase in {JobPhase.QUEUED, JobPhase.RUNNING}:
            return
        context = await self._resting_on(state)
        if await self._settle_from_bucket(job.media_id, item, job.job_id, context):
            return
        if job.job_id != item.runpod_job_id:  # A newer job of the attempt runs.
            await self.watchlist.close(job.job_id)
            return
        if state is None or state.phase is JobPhase.CANCELLED:
            await self._replace_lost(job, item, context)
            return
        code, message = _vendor_verdict(state)
        failure = RecordFailure(job.attempt, job.job_id, code, message)
        await self.failed(job.media_id, failure, context)

    async def _resting_on(self, state: JobState | None) -> Context:
        context = system("reconciler")
        if state is None or state.answer is None:
            return context
        evidence = await self.evidence.keep(EvidenceKind.RUNPOD_STATUS, state.answer)
        return context.model_copy(update={"evidence": evidence})

    async def _replace_lost(self, job: WatchedJob, item: MediaItem, context: Context) -> None:
        if len(item.job_ids) < MAX_JOBS_PER_ATTEMPT:
            # In this order: a crash in between asks again instead of forgetting the attempt.
            await self.outbox.add(job.media_id, job.attempt)
            await self.watchlist.close(job.job_id)
            return
        message = "The machine that worked on the file was lost twice."
        failure = RecordFailure(job.attempt, job.job_id, ErrorCode.WORKER_LOST, message)
        await self.failed(job.media_id, failure, context)

    async def expire(self, media_id: UUID) -> None:
        """End an attempt that has outlived its deadline, and stop what still runs of it."""
        context = system("sweeper")
        item = await load_item(self.store, media_id)
        overdue = item.deadline is not None and await self.store.now() >= item.deadline
        if item.status is not Status.TRANSCODING or not overdue:
            return
        job_id = item.runpod_job_id
        if await self._settle_from_bucket(media_id, item, job_id, context):
            return
        await self._end(media_id, _overdue(item), None, context)


def _overdue(item: MediaItem) -> RecordFailure:
    if item.job_ids:
        code = ErrorCode.TIMED_OUT
        message = "The file was not transcoded within the time allowed."
    else:
        code = ErrorCode.SUBMIT_UNREACHABLE
        message = "No machine could be reached within the time allowed."
    return RecordFailure(item.attempt, item.runpod_job_id, code, message)


def _vendor_verdict(state: JobState) -> tuple[ErrorCode, str]:
    # The worker returns `code: sentence` as its error; whatever else is said is RunPod's own.
    if state.phase is JobPhase.SUCCEEDED:
        return ErrorCode.OUTPUT_INVALID, NO_MANIFEST
    if state.phase is JobPhase.TIMED_OUT:
        return ErrorCode.TIMED_OUT, "The job ran longer than allowed."
    code, _, message = (state.error or "").partition(": ")
    if message and code in set(ErrorCode):
        return ErrorCode(code), message[:500]
    return ErrorCode.WORKER_LOST, "The machine that worked on the file stopped without a result."
