"""One RunPod job from its input to its reports.

The bucket's manifest is the last word on a job; the signed callback is its primary report, and
what is returned to RunPod the second one: keys only, or `{"error": "code: sentence"}`. A run that
finds its attempt claimed by another says so to RunPod alone, and stops.
"""

import asyncio
import json
import logging
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
from pydantic import TypeAdapter, ValidationError

from gpu_worker import manifest
from gpu_worker.assistant import Assistant, NotNeeded
from gpu_worker.bucket import connect
from gpu_worker.bucket_board import BucketBoard
from gpu_worker.callback import ProgressBoard, Reporter
from gpu_worker.chunk_objects import ChunkObjects
from gpu_worker.claim import TIMES, AttemptClaim, Times
from gpu_worker.contract import (
    AssistedOutput,
    JobId,
    JobInput,
    Manifest,
    ReportOutput,
    SupersededOutput,
    WireModel,
    WorkerErrorCode,
)
from gpu_worker.contract_logs import bound
from gpu_worker.contract_trace import below, tracing
from gpu_worker.downloader import Download
from gpu_worker.early import EarlyUpload, Finished, finished_segments
from gpu_worker.errors import JobFailed, Superseded
from gpu_worker.manifest import Identity
from gpu_worker.packager import Packager
from gpu_worker.settings import WorkerSettings
from gpu_worker.tools import EncoderChoice, Tools, choose_encoder, confinement
from gpu_worker.uploader import Published, Uploader

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

logger = logging.getLogger(__name__)

Result = dict[str, Any]
TREE = "tree"
"""The folder of a job's room whose paths are keys."""


class Produced(NamedTuple):
    """What a job has made in a folder, and is still to publish."""

    tree: Path
    manifest: Manifest


class Worker:
    """Runs jobs, one after the other or several at once; knows its encoder after the first."""

    def __init__(self, settings: WorkerSettings, tools: Tools, times: Times = TIMES) -> None:
        self._settings = settings
        self._tools = tools
        self._times = times
        self._encoder: EncoderChoice | None = None

    async def handle(self, job: Mapping[str, Any]) -> Result:
        """RunPod's handler. Never raises, unless it is cancelled."""
        try:
            wanted = JobInput.model_validate(job.get("input"))
            job_id = TypeAdapter(JobId).validate_python(job.get("id"))
        except ValidationError as error:
            return {"error": f"job_invalid: {_first_problem(error)}"}
        identity = Identity(job_id, wanted, self._settings.runpod_pod_id)
        about = {"media_id": wanted.media_id, "attempt": wanted.attempt, "job_id": job_id}
        with tracing(below(wanted.traceparent)), bound(**about, worker=identity.worker):
            return await self._handle(identity)

    async def _handle(self, identity: Identity) -> Result:
        wanted = identity.job
        if wanted.assist:
            return _wire(await self._assist(identity))
        async with httpx.AsyncClient(follow_redirects=False) as client:
            reporter = Reporter(
                client,
                identity,
                self._settings.webhook_secret.get_secret_value(),
                self._settings.callback_first_delay_seconds,
            )
            try:
                output = await self._run_in_time(identity, reporter)
            except Superseded as loss:
                logger.info("superseded: %s", loss)
                return _superseded(wanted, loss)
            except JobFailed as failure:
                await reporter.failed(failure.to_wire())
                return {"error": str(failure)}
            await reporter.completed(output)
        logger.info("done")
        return _wire(output)

    async def _assist(self, identity: Identity) -> AssistedOutput:
        """Make chunks for another job. What goes wrong is that one's to make good."""
        job, settings, made, note = identity.job, self._settings, 0, None
        try:
            async with asyncio.timeout(settings.max_wall_seconds), connect(settings) as client:
                assistant = Assistant(client, settings, self._tools, self._times, identity)
                with self._room() as room:
                    made = await assistant.work(room, self._choose_encoder)
        except NotNeeded as reason:
            note = str(reason)
        except Exception as error:
            logger.exception("could not help")
            note = type(error).__name__  # Its text may name hosts and keys; the log has it.
        logger.info("helped with %d chunks: %s", made, note)
        return AssistedOutput(
            media_id=job.media_id, attempt_id=job.attempt_id, chunks=made, note=note
        )

    @contextmanager
    def _room(self) -> Iterator[Path]:
        """A folder for one job, which is removed with all that is in it."""
        with tempfile.TemporaryDirectory(
            prefix="codex-media-", dir=self._settings.work_dir
        ) as name:
            yield Path(name)

    async def _run_in_time(self, identity: Identity, reporter: Reporter) -> ReportOutput:
        """Run the job; what ends it early leaves as :class:`JobFailed` or :class:`Superseded`."""
        deadline = asyncio.timeout(self._settings.max_wall_seconds)
        try:
            async with deadline:
                return await self._run(identity, reporter)
        except Superseded:
            raise
        except JobFailed as failure:
            logger.warning("failed: %s", failure)
            raise
        except Exception as error:
            if deadline.expired():
                raise JobFailed(
                    WorkerErrorCode.TIMED_OUT, "Converting this file took too long."
                ) from error
            logger.exception("met something unforeseen")
            raise JobFailed(
                WorkerErrorCode.ENCODE_FAILED,
                "Converting this file failed on our side; a retry may help.",
                type(error).__name__,  # Its text may name hosts and keys; the log has it.
            ) from error

    async def _run(self, identity: Identity, reporter: Reporter) -> ReportOutput:
        """Work while the attempt's claim is ours."""
        async with connect(self._settings) as client:
            claim = AttemptClaim(client, self._settings.r2_bucket, identity, self._times)
            try:
                await claim.take()
                return await claim.hold(self._work(client, claim, identity, reporter))
            except asyncio.CancelledError:
                await claim.release()
                raise
            except Exception as error:
                if holder := await claim.release():
                    raise Superseded(holder) from error
                raise

    async def _work(
        self, client: "S3Client", claim: AttemptClaim, identity: Identity, reporter: Reporter
    ) -> ReportOutput:
        settings, progress = self._settings, ProgressBoard()
        reporter.board = progress
        uploader = Uploader(
            client, settings.r2_bucket, identity.layout, settings.upload_connections, claim.check
        )
        if finished := await uploader.finished(identity.job.attempt_id):
            # The service has forgotten: its database was restored, or every report was lost.
            return _completed(reporter.output(), finished)
        with self._room() as room:
            encoded = asyncio.Event()
            objects = ChunkObjects(client, settings.r2_bucket, identity.job)
            chunks = BucketBoard(
                objects, uploader, identity, self._times, claim.wait_for_older, progress.want
            )
            early = EarlyUpload(
                uploader,
                identity.job.attempt,
                claim.wait_for_older,
                self._segments(room, identity, encoded),
            )
            if not self._tools.sandbox.confines:
                logger.warning("%s", confinement(self._tools.sandbox))
            encoder = await self._choose_encoder(room)
            await reporter.started(_with_encoder(reporter.output(), identity, encoder))
            async with reporter.reporting(progress, self._settings.progress_interval_seconds):
                async with early:
                    try:
                        produced = await self._produce(client, room, identity, progress, chunks)
                    finally:
                        encoded.set()
                await claim.wait_for_older()
                published = await uploader.publish(
                    produced.tree,
                    produced.manifest,
                    lambda share: progress.update("upload", share),
                )
                await chunks.clear()
        return _completed(reporter.output(), published)

    async def _produce(
        self,
        client: "S3Client",
        room: Path,
        identity: Identity,
        progress: ProgressBoard,
        chunks: BucketBoard,
    ) -> Produced:
        """Download and package."""
        settings, job, layout = self._settings, identity.job, identity.layout
        started = time.monotonic()
        source, tree = room / "input", room / TREE
        download = Download(
            client,
            settings.r2_bucket,
            job.input_key,
            job.input_etag,
            settings.max_input_bytes,
            lambda share: progress.update("download", share),
        )
        await download.to(source)
        progress.update("probe", 1)
        folder = manifest.make_room(tree, layout)
        encoder = await self._choose_encoder(room)
        package = await Packager(self._tools, encoder, settings, chunks).package(
            source, job.type, folder, lambda share: progress.update("encode", share)
        )
        manifest.settle(tree, layout)
        gpu_seconds = time.monotonic() - started
        # A segment of a try that was given up may be as large as the one that took its name.
        known = chunks.uploader.sent if package.tries == 1 else {}
        finished = await asyncio.to_thread(
            manifest.build, tree, package, identity, gpu_seconds, known
        )
        return Produced(tree, finished)

    def _segments(
        self, room: Path, identity: Identity, encoded: asyncio.Event
    ) -> AsyncIterator[Finished]:
        return finished_segments(room / TREE, identity.layout.prefix, encoded)

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


def _superseded(job: JobInput, loss: Superseded) -> Result:
    output = SupersededOutput(
        media_id=job.media_id, attempt_id=job.attempt_id, holder_job_id=loss.holder_job_id
    )
    return _wire(output)


def _wire(output: WireModel) -> Result:
    document: Result = json.loads(output.to_json())
    return document


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in problem['loc']) or 'input'}: {problem['msg']}"
