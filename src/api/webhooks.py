"""What our worker and RunPod tell us. Verified before it is parsed, kept before it is acted on."""

import hashlib
import logging
import time
from uuid import NAMESPACE_OID, uuid5

from starlette.responses import Response

from api.operations import Call, answer, limited_body, parse
from api.problems import ApiError
from api.schemas import WebhookAck
from domain.commands import RecordFailure, RecordStart
from domain.errors import AccessDenied
from domain.events import Context
from domain.failure import ErrorCode
from domain.media import MediaItem, attempt_id
from domain.ports import EvidenceKind
from domain.use_cases.access import load_item
from gpu_worker.contract import OutputLayout, Report, ReportOutput
from gpu_worker.signature import SignatureRefused, verify
from infra import capability
from infra.capability import CapabilityRefused

MAX_REPORT_BYTES = 64 * 1024
MAX_NATIVE_BYTES = 1024 * 1024
"""RunPod sends the job's input and output back; ours are small."""

log = logging.getLogger(__name__)


async def worker_webhook(call: Call) -> Response:
    """The worker's signed callback (Standard Webhooks)."""
    body = await limited_body(call.request, MAX_REPORT_BYTES)
    keys = call.services.settings.webhook_keys
    try:
        message_id = verify(keys, call.request.headers, body, time.time())
    except SignatureRefused as error:
        log.warning("worker webhook refused: %s", error)
        raise ApiError(401, "unauthenticated", "The signature does not verify.") from None
    report = parse(Report, body)
    if report.status == "progress":
        return answer(WebhookAck(verdict=await _progress(call, report)))
    row_id, verdict = await call.services.inbox.receive("worker", message_id, body)
    if verdict is None:
        verdict = await _apply(call, report, body)
        await call.services.inbox.decide(row_id, verdict)
    return answer(WebhookAck(verdict=verdict))


async def _progress(call: Call, report: Report) -> str:
    progress, output = report.progress, report.output
    if progress is None:
        return "empty"
    await call.services.progress.save(
        output.media_id, output.attempt, progress.percent, progress.stage, progress.rung
    )
    return "noted"


async def _apply(call: Call, report: Report, body: bytes) -> str:
    output = report.output
    try:
        item = await load_item(call.services.store, output.media_id)
    except AccessDenied:
        return "unknown"
    if output.attempt_id != attempt_id(output.media_id, output.attempt):
        return "mismatch"
    if not item.runs(output.attempt):
        return "stale"
    context = Context(
        actor=f"worker:{report.job_id}"[:200],
        correlation_id=uuid5(NAMESPACE_OID, report.job_id),
        causation_id=None,
        traceparent=None,
        evidence=await call.services.evidence.keep(EvidenceKind.WORKER_CALLBACK, body),
    )
    after = await _outcome(call, report, item, context)
    log.info("worker says %s media=%s: %s", report.status, output.media_id, after.status)
    return after.status.value


async def _outcome(call: Call, report: Report, item: MediaItem, context: Context) -> MediaItem:
    outcomes, output = call.services.outcomes, report.output
    if report.status == "started":
        start = RecordStart(
            output.attempt, report.job_id, output.worker or "unknown", output.encoder or "unknown"
        )
        return await outcomes.started(output.media_id, start, context)
    if report.status == "failed":
        return await outcomes.failed(output.media_id, _failure(report), context)
    if _names_foreign_keys(output, OutputLayout(item.creator_id, output.media_id)):
        log.error("security: foreign keys in a report, media=%s", output.media_id)
        message = "The job reported outputs that are not this item's."
        failure = RecordFailure(output.attempt, report.job_id, ErrorCode.OUTPUT_INVALID, message)
        return await outcomes.failed(output.media_id, failure, context)
    return await outcomes.completed(output.media_id, output.attempt, report.job_id, context)


def _failure(report: Report) -> RecordFailure:
    error = report.error
    if error is None:
        message = "The worker gave up without saying why."
        return RecordFailure(report.output.attempt, report.job_id, ErrorCode.ENCODE_FAILED, message)
    code = ErrorCode(error.code.value)
    return RecordFailure(
        report.output.attempt, report.job_id, code, error.message, error.stderr_tail
    )


def _names_foreign_keys(output: ReportOutput, layout: OutputLayout) -> bool:
    named = {
        layout.master: output.hls_master_key,
        layout.preview: output.hls_preview_key,
        layout.thumbnail: output.thumbnail_key,
        layout.waveform: output.waveform_key,
    }
    return any(told is not None and told != own for own, told in named.items())


async def runpod_webhook(call: Call) -> Response:
    """RunPod's own webhook: a hint, made ours by the token in its URL.

    Its body is kept and not believed: the reconciler asks RunPod about the job we recorded.
    """
    token = call.request.path_params["token"]
    try:
        found = capability.verify(
            call.services.settings.capability_keys, token, "webhook", time.time()
        )
    except CapabilityRefused as error:
        log.warning("RunPod webhook refused: %s", error)
        raise ApiError(401, "unauthenticated", "The token does not verify.") from None
    body = await limited_body(call.request, MAX_NATIVE_BYTES)
    message_id = hashlib.sha256(f"{found.media_id}/{found.attempt}/".encode() + body).hexdigest()
    row_id, verdict = await call.services.inbox.receive("runpod", message_id, body)
    if verdict is None:
        await call.services.watchlist.hurry(found.media_id, found.attempt)
        verdict = "asking"
        await call.services.inbox.decide(row_id, verdict)
    return answer(WebhookAck(verdict=verdict))
