"""What hostile messages are about: items in several states, and what an attacker may hold."""

import time
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID, uuid4

from domain.commands import CompleteUpload, RecordFailure, RecordSubmission, RegisterMedia
from domain.events import MediaType
from domain.failure import ErrorCode
from domain.handler import handle
from domain.media import attempt_id
from infra import capability
from infra.bootstrap import Services
from infra.capability import Capability, Purpose
from infra.settings import CapabilityKey, Settings
from tests import factories as f
from tests.api.gpu import Job

UNKNOWN_ITEMS = 40
CREATOR = "victim"
OTHER_SECRET = "whsec_" + b64encode(b"attacker" * 4).decode()
OTHER_KEY = CapabilityKey("k9", b"attacker" * 4)


@dataclass(frozen=True, slots=True)
class Scene:
    """Jobs by what became of them."""

    settings: Settings
    running: Job
    over: Job
    unknown: list[Job]
    valid_ids: set[str] = field(default_factory=set)
    """Ids of the messages that were signed with the true secret."""

    @property
    def secret(self) -> str:
        """The true one."""
        return self.settings.webhook_keys[0]

    def token(
        self,
        job: Job,
        purpose: str = "webhook",
        life_s: int = 3600,
        key: CapabilityKey | None = None,
    ) -> str:
        """A token about a job's attempt."""
        expires_s = int(time.time()) + life_s
        about = Capability(cast(Purpose, purpose), job.media_id, job.attempt, expires_s)
        return capability.mint(key or self.settings.capability_keys[0], about)


def _job(media_id: UUID, name: str) -> Job:
    return Job(media_id, 1, attempt_id(media_id, 1), f"{name}-u1", "video", CREATOR)


async def set_scene(services: Services) -> Scene:
    """An item that is being transcoded, one that failed, and some that are not there."""
    running = await _submitted(services, "running")
    over = await _submitted(services, "over")
    failure = RecordFailure(1, over.job_id, ErrorCode.ENCODE_FAILED, "It stopped.")
    await handle(services.store, over.media_id, failure, f.context())
    unknown = [_job(uuid4(), "unknown") for _ in range(UNKNOWN_ITEMS)]
    return Scene(services.settings, running, over, unknown)


async def _submitted(services: Services, name: str) -> Job:
    media_id = uuid4()
    job = _job(media_id, name)
    later = datetime.now(UTC) + timedelta(hours=6)
    for command in (
        RegisterMedia(media_id, CREATOR, MediaType.VIDEO, "a.mp4", "video/mp4", 9, later),
        CompleteUpload(media_id, 9, f.ETAG, later),
        RecordSubmission(1, job.job_id),
    ):
        await handle(services.store, media_id, command, f.context())
    return job
