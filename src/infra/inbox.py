"""From a message's bytes to what they come to: at once where that is quick, else by a loop."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError

from domain.commands import RecordFailure
from domain.failure import ErrorCode
from domain.lifecycle import Status
from domain.ports import Channel, Inbox, Message
from domain.use_cases import Reports
from domain.use_cases.reports import NativeHint, WorkerReport
from gpu_worker.contract import JobId, OutputLayout, Report, Timing
from gpu_worker.contract_logs import bound
from infra import spans
from infra.figures.process import stages_took, webhook_settled

PATIENCE_S = 600.0
"""How long a message waits for its attempt to appear: a commit under way, a replica behind."""
FIRST_DELAY_S, LAST_DELAY_S = 1.0, 60.0
MAX_TRIES = 30
ACCEPTED = "accepted"
QUARANTINED = "quarantined"
REPEATED = "repeated"

log = logging.getLogger(__name__)


class _Native(BaseModel):
    # Only its id is of use: RunPod does not document this body as closed.
    model_config = ConfigDict(extra="ignore")
    id: JobId


@dataclass(frozen=True, slots=True)
class MessageDesk:
    """Takes messages in, and sees to it that each comes to a verdict.

    `accepted`: kept, and looked at by the loop. `quarantined`: about an attempt that never
    appeared, or one that cannot be handled; it changes nothing and stays for people to look at.
    """

    inbox: Inbox
    reports: Reports

    async def take_in(
        self, channel: Channel, message_id: str, media_id: UUID, attempt: int, body: bytes
    ) -> str:
        """Keep a message and act on it; what came of it. From here on it is durable.

        RunPod's hints are left to the loop: it waits for our answer, and we may have to ask it.
        """
        received = await self.inbox.receive(channel, message_id, media_id, attempt, body)
        if not received.new:
            webhook_settled(channel, REPEATED)
            return received.verdict or ACCEPTED
        if channel is Channel.RUNPOD:
            await self.inbox.postpone(received.message.row_id, 0)
            return ACCEPTED
        return await self._settle(received.message)

    async def process_once(self) -> bool:
        """Look at one message that waits; whether there was one."""
        message = await self.inbox.take()
        if message is None:
            return False
        with bound(media_id=message.media_id, attempt=message.attempt):
            if message.tries > MAX_TRIES:
                log.error("message %s cannot be handled; it stays in the inbox", message.row_id)
                await self._decide(message, QUARANTINED)
            else:
                await self._settle(message)
        return True

    async def _settle(self, message: Message) -> str:
        verdict = await self._act(message)
        if verdict is None and message.age_s < PATIENCE_S:
            delay_s = min(LAST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(message.tries - 1, 16))
            await self.inbox.postpone(message.row_id, delay_s)
            return ACCEPTED
        if verdict is None:
            log.warning("quarantined: a message about an attempt that is not there")
        verdict = verdict or QUARANTINED
        await self._decide(message, verdict)
        return verdict

    async def _decide(self, message: Message, verdict: str) -> None:
        await self.inbox.decide(message.row_id, verdict)
        webhook_settled(message.channel, verdict)

    async def _act(self, message: Message) -> str | None:
        if message.channel is Channel.WORKER:
            report = Report.model_validate_json(message.body)
            verdict = await self.reports.by_worker(worker_report(report, message.body))
            if verdict in {Status.READY, Status.FAILED} and (timing := report.output.timing):
                _measure(report, timing, message.age_s)
            return verdict
        hint = NativeHint(message.media_id, message.attempt, _job_id(message.body))
        return await self.reports.by_vendor(hint)


def _measure(report: Report, timing: Timing, age_s: float) -> None:
    """A job has ended: what its stages took, which of a failed one are no measure for others."""
    if report.status == "completed":
        stages_took(report.output.type, timing.stage_seconds)
    spans.job(timing, time.time_ns() - int(age_s * 1e9), failed=report.status == "failed")


def worker_report(report: Report, body: bytes) -> WorkerReport:
    """A verified callback, `started`, `completed` or `failed`, as the domain takes it."""
    if report.status == "progress":
        raise ValueError("progress is not kept")
    output = report.output
    return WorkerReport(
        job_id=report.job_id,
        status=report.status,
        media_id=output.media_id,
        attempt=output.attempt,
        attempt_id=output.attempt_id,
        worker=output.worker or "unknown",
        encoder=output.encoder or "unknown",
        failure=_failure(report),
        named_keys=output.model_dump(include=set(KEYS), exclude_none=True),
        body=body,
    )


def _failure(report: Report) -> RecordFailure | None:
    error = report.error
    if error is None:
        return None
    return RecordFailure(
        report.output.attempt,
        report.job_id,
        ErrorCode(error.code.value),
        error.message,
        error.stderr_tail,
    )


KEYS = ("hls_master_key", "hls_preview_key", "thumbnail_key", "waveform_key")


def own_keys(creator_id: str, media_id: UUID) -> Mapping[str, str]:
    """The keys an item's outputs have, by the fields of a report that may name them."""
    layout = OutputLayout(creator_id, media_id)
    keys = (layout.master, layout.preview, layout.thumbnail, layout.waveform)
    return dict(zip(KEYS, keys, strict=True))


def _job_id(body: bytes) -> str | None:
    """The job that RunPod's webhook names; None where its body has another form."""
    try:
        return _Native.model_validate_json(body).id
    except ValidationError:
        return None
