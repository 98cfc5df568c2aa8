"""What our worker and RunPod tell us. Verified before it is parsed, kept before it is acted on."""

import hashlib
import logging
import time
from collections.abc import Mapping

from starlette.responses import Response

from api.operations import Call, answer, limited_body, parse
from api.problems import ApiError
from api.schemas import WebhookAck
from domain.ports import Channel
from gpu_worker.contract import Report
from gpu_worker.contract_logs import bind
from gpu_worker.signature import SignatureRefused, verify
from infra import capability
from infra.bootstrap import Services
from infra.capability import Capability, CapabilityRefused
from infra.figures.process import webhook_settled

MAX_REPORT_BYTES = 64 * 1024
MAX_NATIVE_BYTES = 1024 * 1024
"""RunPod sends the job's input and output back; ours are small."""

log = logging.getLogger(__name__)


async def worker_webhook(call: Call) -> Response:
    """The worker's signed callback (Standard Webhooks)."""
    body = await limited_body(call.request, MAX_REPORT_BYTES)
    verdict = await from_worker(call.services, call.request.headers, body, time.time())
    return answer(WebhookAck(verdict=verdict))


async def from_worker(
    services: Services, headers: Mapping[str, str], body: bytes, now_s: float
) -> str:
    """Verify and take in a callback that came at `now_s` (Unix time); what came of it."""
    try:
        message_id = verify(services.settings.webhook_keys, headers, body, now_s)
    except SignatureRefused as error:
        webhook_settled(Channel.WORKER, "refused")
        log.warning("worker webhook refused: %s", error)
        raise ApiError(401, "unauthenticated", "The signature does not verify.") from None
    report = parse(Report, body)
    bind(media_id=report.output.media_id, attempt=report.output.attempt, job_id=report.job_id)
    if report.status == "progress":
        verdict = await _progress(services, report)
        webhook_settled(Channel.WORKER, verdict)
        return verdict
    about = (report.output.media_id, report.output.attempt)
    return await services.desk.take_in(Channel.WORKER, message_id, *about, body)


async def _progress(services: Services, report: Report) -> str:
    progress, output = report.progress, report.output
    if progress is None:
        return "empty"
    await services.progress.save(
        output.media_id, output.attempt, progress.percent, progress.stage, progress.rung
    )
    if wanted := progress.assistants_wanted:
        await services.assistants.wanted(output.media_id, output.attempt, wanted)
    return "noted"


async def runpod_webhook(call: Call) -> Response:
    """RunPod's own webhook: a hint, made ours by the token in its URL."""
    services, token, now_s = call.services, call.request.path_params["token"], time.time()
    about = bearer_of(services, token, now_s)
    body = await limited_body(call.request, MAX_NATIVE_BYTES)
    verdict = await from_runpod(services, about, body)
    return answer(WebhookAck(verdict=verdict))


def bearer_of(services: Services, token: str, now_s: float) -> Capability:
    """What a webhook's token allows at `now_s` (Unix time)."""
    try:
        return capability.verify(services.settings.capability_keys, token, "webhook", now_s)
    except CapabilityRefused as error:
        webhook_settled(Channel.RUNPOD, "refused")
        log.warning("RunPod webhook refused: %s", error)
        raise ApiError(401, "unauthenticated", "The token does not verify.") from None


async def from_runpod(services: Services, allowed: Capability, body: bytes) -> str:
    """Take in a webhook of the bearer of a token; what came of it.

    Its body is kept and not believed: RunPod is asked about the jobs we recorded.
    """
    about = (allowed.media_id, allowed.attempt)
    bind(media_id=allowed.media_id, attempt=allowed.attempt)
    message_id = hashlib.sha256(f"{about[0]}/{about[1]}/".encode() + body).hexdigest()
    return await services.desk.take_in(Channel.RUNPOD, message_id, *about, body)
