"""The bucket and the vendor, in memory: tests move them from outside."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

from domain import ports
from domain.commands import Outputs
from domain.errors import StorageUnavailable, TranscoderError, TranscoderUnknown
from domain.events import MediaType


@dataclass(slots=True)
class MemoryStorage:
    """The bucket. It does not answer while it is `down`."""

    expires_at: datetime = datetime(2026, 11, 2, 10, 0, tzinfo=UTC)
    objects: dict[str, ports.FoundObject] = field(default_factory=dict)
    down: bool = False

    async def presign_put(self, key: str, content_type: str, size: int) -> ports.PresignedUpload:
        self._answer()
        headers = {"content-type": content_type, "content-length": str(size)}
        headers["if-none-match"] = "*"
        return ports.PresignedUpload(f"memory://bucket/{key}", headers, self.expires_at)

    async def head(self, key: str) -> ports.FoundObject | None:
        self._answer()
        return self.objects.get(key)

    async def probe(self) -> None:
        self._answer()

    def put(self, upload: ports.PresignedUpload, etag: str = '"etag"') -> None:
        """Upload as the signature demands. `FileExistsError`: it never overwrites."""
        key = upload.url.removeprefix("memory://bucket/")
        if key in self.objects:
            raise FileExistsError(key)
        size = int(upload.headers["content-length"])
        self.objects[key] = ports.FoundObject(size, etag, upload.headers["content-type"])

    def _answer(self) -> None:
        if self.down:
            raise StorageUnavailable("The bucket did not answer.")


@dataclass(slots=True)
class MemoryTranscoder:
    """The vendor's queue. Tests move jobs by writing to `jobs`; a deleted one is a 404.

    Every call raises `refusal` while it is set. With `mute` set, jobs are queued, and the answer
    that names them is lost.
    """

    refusal: TranscoderError | None = None
    mute: bool = False
    submitted: list[ports.TranscodingJob] = field(default_factory=list)
    jobs: dict[str, ports.JobState] = field(default_factory=dict)

    async def submit(
        self,
        job: ports.TranscodingJob,
        now: datetime,  # noqa: ARG002 - the port's
    ) -> str:
        self._answer()
        before = [earlier for earlier in self.submitted if earlier.attempt_id == job.attempt_id]
        self.submitted.append(job)
        job_id = f"job-{job.attempt}{len(before) + 1}-u1"
        self.jobs[job_id] = ports.JobState(ports.JobPhase.QUEUED)
        if self.mute:
            raise TranscoderUnknown("RunPod did not answer.")
        return job_id

    async def status(self, job_id: str) -> ports.JobState | None:
        self._answer()
        return self.jobs.get(job_id)

    async def cancel(self, job_id: str) -> None:
        self._answer()
        state = self.jobs.get(job_id)
        if state is not None and state.phase in {ports.JobPhase.QUEUED, ports.JobPhase.RUNNING}:
            self.jobs[job_id] = ports.JobState(ports.JobPhase.CANCELLED)

    async def ping(self) -> None:
        self._answer()

    def _answer(self) -> None:
        if self.refusal is not None:
            raise self.refusal


@dataclass(slots=True)
class MemoryClaims:
    """Who works on each attempt of an item, as a test says. It does not answer while `down`."""

    holders: dict[tuple[UUID, int], ports.ClaimHolder] = field(default_factory=dict)
    down: bool = False

    async def holder(
        self,
        creator_id: str,  # noqa: ARG002 - the port's
        media_id: UUID,
        attempt: int,
    ) -> ports.ClaimHolder | None:
        if self.down:
            raise StorageUnavailable("The bucket did not answer.")
        return self.holders.get((media_id, attempt))


@dataclass(slots=True)
class MemoryOutputGate:
    """What the bucket holds of each attempt, by attempt id; nothing where a test put nothing."""

    found: dict[UUID, Outputs | ports.OutputsInvalid] = field(default_factory=dict)

    async def inspect(
        self,
        media_id: UUID,  # noqa: ARG002 - the port's
        creator_id: str,  # noqa: ARG002
        media_type: MediaType,  # noqa: ARG002
        attempt_id: UUID,
    ) -> Outputs | ports.OutputsInvalid | None:
        return self.found.get(attempt_id)


@dataclass(slots=True)
class MemoryEvidence:
    """Raw messages by their hash."""

    bodies: dict[str, bytes] = field(default_factory=dict)

    async def keep(
        self,
        media_id: UUID,  # noqa: ARG002 - the port's
        kind: ports.EvidenceKind,  # noqa: ARG002
        body: bytes,
    ) -> str:
        digest = sha256(body).hexdigest()
        self.bodies[digest] = body
        return digest
