"""A worker whose jobs wait for a word, so that a backup finds them at work."""

import asyncio
from uuid import UUID

from gpu_worker.contract import Report, WorkerErrorCode
from tests.api.gpu import Job
from tests.kill.vendor import Vendor
from tests.kill.worker import LightWorker
from tests.kill.world import World

AT_ONCE = ("settled", "refused", "younger")
"""Whose jobs wait for nothing."""
REFUSED, VANISHED, FORGOTTEN = "refused", "vanished", "forgotten"


class PatientWorker(LightWorker):
    """Holds jobs back, remembers what it told, and knows what RunPod shall forget."""

    def __init__(self, made: World) -> None:
        super().__init__(made.settings, made.http, made.s3)
        self._vendor: Vendor = made.vendor
        self.go_on = asyncio.Event()
        self.told: list[Report] = []
        self._vanished: list[Job] = []
        self._forgotten: list[Job] = []

    async def _play(self, name: str, job: Job, *, first: bool) -> None:
        kind = name.partition("-")[0]
        if kind == VANISHED and first:
            self._vanished.append(job)
            return
        if kind not in AT_ONCE:
            await self.go_on.wait()
        if kind == FORGOTTEN:
            self._forgotten.append(job)
        if kind == REFUSED and job.attempt == 1:
            await self._give_up(job, WorkerErrorCode.ENCODE_FAILED)
        else:
            await self._finish(job)

    async def _tell(self, report: Report) -> None:
        await super()._tell(report)
        if report.status != "progress":
            self.told.append(report)

    async def runpod_forgets(self) -> None:
        """While nobody was there: workers died with their jobs, and results grew too old."""
        for job in self._vanished:
            await self._put_claim(job, released=True)
        for job in self._vanished + self._forgotten:
            self._vendor.queue.forget(job.job_id)

    async def tell_again(self) -> None:
        """Deliver every report once more, as a worker does that was not answered in time."""
        for report in list(self.told):
            await super()._tell(report)

    @property
    def vanished(self) -> set[UUID]:
        """Items whose jobs were never heard of again."""
        return {job.media_id for job in self._vanished}
