"""What our worker and RunPod tell us. Verified before it is parsed, kept before it is acted on."""

import hashlib
import logging
import time

from starlette.responses import Response

from api.operations import Call, answer, limited_body, parse
from api.problems import ApiError
from api.schemas import WebhookAck
from domain.ports import Channel
from gpu_worker.contract import Report
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
    about = (report.output.media_id, report.output.attempt)
    verdict = await call.services.desk.take_in(Channel.WORKER, message_id, *about, body)
    return answer(WebhookAck(verdict=verdict))


async def _progress(call: Call, report: Report) -> str:
    progress, output = report.progress, report.output
    if progress is None:
        return "empty"
    await call.services.progress.save(
        output.media_id, output.attempt, progress.percent, progress.stage, progress.rung
    )
    return "noted"


async def runpod_webhook(call: Call) -> Response:
    """RunPod's own webhook: a hint, made ours by the token in its URL.

    Its body is kept and not believed: RunPod is asked about the jobs we recorded.
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
    about = (found.media_id, found.attempt)
    message_id = hashlib.sha256(f"{found.media_id}/{found.attempt}/".encode() + body).hexdigest()
    verdict = await call.services.desk.take_in(Channel.RUNPOD, message_id, *about, body)
    return answer(WebhookAck(verdict=verdict))
