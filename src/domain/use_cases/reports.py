"""What a message about a job comes to. It was verified and kept before, and it may come again."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple
from uuid import NAMESPACE_OID, UUID, uuid5

from domain.commands import RecordFailure, RecordStart
from domain.errors import AccessDenied
from domain.events import Context
from domain.failure import ErrorCode
from domain.media import MediaItem, attempt_id
from domain.ports import EvidenceKind, EvidenceLocker, Outbox, Transcoder, Watchlist
from domain.use_cases.access import load_item, system
from domain.use_cases.outcomes import Outcomes

log = logging.getLogger(__name__)

STALE = "stale"
MISMATCH = "mismatch"
ASKING = "asking"
FOREIGN_KEYS = "The job reported outputs that are not this item's."

OwnKeys = Callable[[str, UUID], Mapping[str, str]]
"""The keys that a creator's item has for its outputs, by the field that reports name them in."""


def _nobody() -> None:
    """Nobody listens."""


class WorkerReport(NamedTuple):
    """A worker's signed callback."""

    job_id: str
    status: Literal["started", "completed", "failed"]
    media_id: UUID
    attempt: int
    attempt_id: UUID
    worker: str
    encoder: str
    failure: RecordFailure | None
    named_keys: Mapping[str, str]
    body: bytes


class NativeHint(NamedTuple):
    """RunPod's webhook: its token says which attempt; its body, not believed, says which job."""

    media_id: UUID
    attempt: int
    job_id: str | None


@dataclass(frozen=True, slots=True)
class Reports:
    """From a message to the outcome it tells of. A verdict of None: no such item, perhaps yet."""

    outcomes: Outcomes
    own_keys: OwnKeys
    alarm: Callable[[], None] = _nobody
    """Told when a report names keys of another item: a worker of ours never does."""

    async def by_worker(self, report: WorkerReport) -> str | None:
        """Act on a worker's word, which its signature makes ours; the verdict."""
        item = await self._item(report.media_id)
        if item is None or report.attempt > item.attempt:
            return None
        if report.attempt_id != attempt_id(report.media_id, report.attempt):
            return MISMATCH
        if not item.runs(report.attempt):
            return STALE
        evidence = await self._evidence.keep(
            report.media_id, EvidenceKind.WORKER_CALLBACK, report.body
        )
        context = Context(
            actor=f"worker:{report.job_id}"[:200],
            correlation_id=uuid5(NAMESPACE_OID, report.job_id),
            evidence=evidence,
        )
        after = await self._outcome(report, item, context)
        log.info("worker says %s media=%s: %s", report.status, report.media_id, after.status)
        return after.status.value

    async def _outcome(self, report: WorkerReport, item: MediaItem, context: Context) -> MediaItem:
        media_id, attempt, job_id = report.media_id, report.attempt, report.job_id
        if report.status == "started":
            start = RecordStart(attempt, job_id, report.worker, report.encoder)
            return await self.outcomes.started(media_id, start, context)
        if report.status == "failed":
            silent = "The worker gave up without saying why."
            failure = report.failure or RecordFailure(
                attempt, job_id, ErrorCode.ENCODE_FAILED, silent
            )
            return await self.outcomes.failed(media_id, failure, context)
        own = self.own_keys(item.creator_id, media_id)
        if any(own.get(field) != key for field, key in report.named_keys.items()):
            log.error("security: foreign keys in a report, media=%s", media_id)
            self.alarm()
            failure = RecordFailure(attempt, job_id, ErrorCode.OUTPUT_INVALID, FOREIGN_KEYS)
            return await self.outcomes.failed(media_id, failure, context)
        return await self.outcomes.completed(media_id, attempt, job_id, context)

    async def by_vendor(self, hint: NativeHint) -> str | None:
        """Ask the vendor soon about the jobs we recorded; the verdict.

        Only where a call's answer was lost, and the job that is named ended with an output that
        names the attempt, by the vendor's own word, is that the job whose id we lacked.
        """
        item = await self._item(hint.media_id)
        if item is None or hint.attempt > item.attempt:
            return None
        if not item.runs(hint.attempt):
            return STALE
        if hint.job_id is not None and await self._may_be_ours(hint, item, hint.job_id):
            context = system("reconciler")
            await self.outcomes.learn(hint.media_id, hint.attempt, hint.job_id, context)
        await self._watchlist.hurry(hint.media_id, hint.attempt)
        return ASKING

    async def _may_be_ours(self, hint: NativeHint, item: MediaItem, job_id: str) -> bool:
        if job_id in item.job_ids or await self._watchlist.find(job_id):
            return False
        calls = await self._outbox.calls(hint.media_id, hint.attempt)
        if calls.made <= len(item.job_ids):
            return False
        state = await self._transcoder.status(job_id)
        return state is not None and state.attempt_id == item.attempt_id

    async def _item(self, media_id: UUID) -> MediaItem | None:
        try:
            return await load_item(self.outcomes.store, media_id)
        except AccessDenied:
            return None

    @property
    def _evidence(self) -> EvidenceLocker:
        return self.outcomes.evidence

    @property
    def _watchlist(self) -> Watchlist:
        return self.outcomes.watchlist

    @property
    def _outbox(self) -> Outbox:
        return self.outcomes.outbox

    @property
    def _transcoder(self) -> Transcoder:
        return self.outcomes.transcoder
