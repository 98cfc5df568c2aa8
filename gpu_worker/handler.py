"""One RunPod job from its input to its reports.

The bucket's manifest is the last word on a job; the signed callback is its primary report, and
what is returned to RunPod the second one: keys only, or `{"error": "code: sentence"}`.
"""

import asyncio
import json
import logging
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from pydantic import ValidationError

from gpu_worker import manifest
from gpu_worker.bucket import connect
from gpu_worker.callback import ProgressBoard, Reporter
from gpu_worker.contract import JobInput, ReportOutput, WorkerErrorCode
from gpu_worker.downloader import Download
from gpu_worker.errors import JobFailed
from gpu_worker.manifest import Identity
from gpu_worker.packager import Packager
from gpu_worker.settings import WorkerSettings
from gpu_worker.tools import EncoderChoice, Tools, choose_encoder
from gpu_worker.uploader import Published, Uploader

logger = logging.getLogger(__name__)

Result = dict[str, Any]


class Worker:
    """Runs jobs, one after the other or several at once; knows its encoder after the first."""

    def __init__(self, settings: WorkerSettings, tools: Tools) -> None:
        self._settings = settings
        self._tools = tools
        self._encoder: EncoderChoice | None = None

    async def handle(self, job: Mapping[str, Any]) -> Result:
        """RunPod's handler. Never raises, unless it is cancelled."""
        try:
            wanted = JobInput.model_validate(job.get("input"))
        except ValidationError as error:
            return {"error": f"job_invalid: {_first_problem(error)}"}
        identity = Identity(str(job["id"]), wanted, self._settings.runpod_pod_id)
        async with httpx.AsyncClient(follow_redirects=False) as client:
            reporter = Reporter(
                client,
                identity,
                self._settings.webhook_secret.get_secret_value(),
                self._settings.callback_first_delay_seconds,
            )
            try:
                output = await self._run_in_time(identity, reporter)
            except JobFailed as failure:
                await reporter.failed(failure.to_wire())
                return {"error": str(failure)}
            await reporter.completed(output)
        return _wire(output)

    async def _run_in_time(self, identity: Identity, reporter: Reporter) -> ReportOutput:
        """Run the job; whatever ends it early leaves as :class:`JobFailed`."""
        deadline = asyncio.timeout(self._settings.max_wall_seconds)
        try:
            async with deadline:
                return await self._run(identity, reporter)
        except JobFailed as failure:
            logger.warning("job %s: %s", identity.job_id, failure)
            raise
        except Exception as error:
            if deadline.expired():
                raise JobFailed(
                    WorkerErrorCode.TIMED_OUT, "Converting this file took too long."
                ) from error
            logger.exception("job %s met something unforeseen", identity.job_id)
            raise JobFailed(
                WorkerErrorCode.ENCODE_FAILED,
                "Converting this file failed on our side; a retry may help.",
                type(error).__name__,  # Its text may name hosts and keys; the log has it.
            ) from error

    async def _run(self, identity: Identity, reporter: Reporter) -> ReportOutput:
        started = time.monotonic()
        board = ProgressBoard()
        with tempfile.TemporaryDirectory(
            prefix="codex-media-", dir=self._settings.work_dir
        ) as name:
            room = Path(name)
            encoder = await self._choose_encoder(room)
            await reporter.started(_with_encoder(reporter.output(), identity, encoder))
            async with reporter.reporting(board, self._settings.progress_interval_seconds):
                published = await self._produce(room, identity, encoder, board, started)
        return _completed(reporter.output(), published)

    async def _produce(
        self,
        room: Path,
        identity: Identity,
        encoder: EncoderChoice,
        board: ProgressBoard,
        started: float,
    ) -> Published:
        """Download, package, upload."""
        settings, job, layout = self._settings, identity.job, identity.layout
        async with connect(settings) as client:
            source, tree = room / "input", room / "tree"
            download = Download(
                client,
                settings.r2_bucket,
                job.input_key,
                job.input_etag,
                settings.max_input_bytes,
                lambda share: board.update("download", share),
            )
            await download.to(source)
            board.update("probe", 1)
            folder = manifest.make_room(tree, layout)
            package = await Packager(self._tools, encoder, settings).package(
                source, job.type, folder, lambda share: board.update("encode", share)
            )
            manifest.settle(tree, layout)
            gpu_seconds = time.monotonic() - started
            finished = await asyncio.to_thread(manifest.build, tree, package, identity, gpu_seconds)
            uploader = Uploader(client, settings.r2_bucket, layout, settings.upload_connections)
            return await uploader.publish(
                tree, finished, lambda share: board.update("upload", share)
            )

    async def _choose_encoder(self, cwd: Path) -> EncoderChoice:
        if self._encoder is None:
            self._encoder = await choose_encoder(self._settings, self._tools, cwd)
        return self._encoder


def _with_encoder(output: ReportOutput, identity: Identity, choice: EncoderChoice) -> ReportOutput:
    if identity.job.type == "audio":
        return output.model_copy(update={"encoder": "aac"})
    return output.model_copy(update={"encoder": choice.encoder, "encoder_note": choice.note})


def _completed(output: ReportOutput, published: Published) -> ReportOutput:
    """The ids, and of the manifest what the service projects."""
    return ReportOutput.model_validate(
        {
            **published.manifest.model_dump(include=set(ReportOutput.model_fields)),
            "worker": output.worker,
            "manifest_sha256": published.sha256,
        }
    )


def _wire(output: ReportOutput) -> Result:
    document: Result = json.loads(output.to_json())
    return document


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in problem['loc']) or 'input'}: {problem['msg']}"
