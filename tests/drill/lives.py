"""The lives that a backup meets, and what becomes of them.

settled     ready before the backup
refused     failed before it, tried once more in the lost minutes
ended       at work during the backup, ready in the lost minutes
forgotten   the same, and RunPod has forgotten the job when the service is back
vanished    at work when the database is lost; RunPod loses job and worker
waiting     during the backup RunPod takes no job: the outbox holds it
uploading   uploaded before the backup, completed in the lost minutes; nobody says so again
younger     registered after the backup
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg

from api.auth import Role as Who
from infra.inbox import PATIENCE_S
from tests.drill.worker import PatientWorker
from tests.kill.books import come_to_rest
from tests.kill.vendor import BUSY, BUSY_CALLS
from tests.kill.world import World

BEFORE = ("settled", "refused")
DURING = ("ended", "forgotten", "vanished", f"waiting-{BUSY}")
OLDER = """
UPDATE webhook_inbox SET received_at = received_at - $1 * interval '1 second' WHERE verdict IS NULL
"""


@dataclass
class Lives:
    """`count` items of each kind, in a world whose worker is patient."""

    made: World
    worker: PatientWorker
    count: int
    ids: dict[str, list[UUID]] = field(default_factory=dict)

    async def begin(self) -> str:
        """Whole lives; then others half-way, with `work` stopped so that the backup meets them so.
        An auditor's checkpoint from between."""
        creator = self.made.creator
        await self.made.start("api")
        await self.made.start("work")
        await self.made.serving()
        for kind in BEFORE:
            await self._all_of(kind, creator.upload)
        await self._final(*BEFORE)
        note = await self.checkpoint()
        await self.made.processes["work"].end()
        for kind in DURING:
            await self._all_of(kind, creator.upload)
        await self._all_of("uploading", creator.register)
        return note

    async def go_on(self) -> None:
        """What happens after the backup, and will be forgotten."""
        for media_id in self.ids[f"waiting-{BUSY}"]:
            self.made.vendor.refused[str(media_id), 1] = BUSY_CALLS  # RunPod takes jobs again
        await self.made.start("work")
        self.worker.go_on.set()
        for media_id in self.ids["uploading"]:
            await self.made.creator.complete(media_id)
        await self._try_again()
        await self._all_of("younger", self.made.creator.upload)
        await self._final(*(kind for kind in self.ids if kind != "vanished"))

    async def lose_everything(self) -> None:
        """Service and database are gone; RunPod and the bucket go on, and forget some."""
        for process in self.made.processes.values():
            await process.end()
        await self.worker.runpod_forgets()

    async def come_back(self, *, patient: bool) -> float:
        """Start on what was restored; how long until nothing was left to do, in seconds."""
        started = time.monotonic()
        await self.made.start("api")
        await self.made.start("work")
        await self.made.serving()
        await self._final(*(kind for kind in self.ids if kind != "younger"))  # without any help
        await self.worker.tell_again()
        await self._try_again()
        await self._final("refused")
        if patient:
            await asyncio.sleep(PATIENCE_S)
        else:
            await self._age_messages()
        await come_to_rest(self.made.pool)
        return time.monotonic() - started

    async def checkpoint(self) -> str:
        """A checkpoint over all there is, as an auditor keeps it."""
        while await self.made.pool.fetchval("SELECT count(*) FROM unsealed"):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        answer = await self.made.creator.get("/api/audit/checkpoint", Who.AUDITOR)
        return str(answer.json()["note"])

    async def _all_of(self, kind: str, do: Callable[[str], Awaitable[UUID]]) -> None:
        names = [f"{kind}-{number}" for number in range(self.count)]
        self.ids[kind] = list(await asyncio.gather(*map(do, names)))

    async def _try_again(self) -> None:
        for media_id in self.ids["refused"]:
            await self.made.creator.retry(media_id)

    async def _final(self, *kinds: str) -> None:
        ids = [media_id for kind in kinds for media_id in self.ids[kind]]
        await asyncio.gather(*map(self.made.creator.until_final, ids))

    async def _age_messages(self) -> None:
        """Ten minutes pass for messages about nothing that is known."""
        owner = await asyncpg.connect(self.made.environ["DATABASE_URL"])
        try:
            await owner.execute(OLDER, PATIENCE_S)
        finally:
            await owner.close()
