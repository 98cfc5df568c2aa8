"""Messages that are forged, replayed, or true in form and false in what they say."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from domain.events import Context
from domain.lifecycle import Status
from domain.media import attempt_id
from gpu_worker.signature import TOLERANCE_SECONDS, sign
from infra.capability import Capability, CapabilityKey, mint
from tests.simulate.processes import EPOCH_S, now_s
from tests.simulate.watch import Acknowledged

if TYPE_CHECKING:
    from tests.simulate.world import World

FORGED = "whsec_" + "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="


@dataclass(slots=True)
class Attackers:
    """Each strike is one try, at a random item or with a captured message."""

    world: "World"

    async def strike(self) -> None:
        """One of all that they do."""
        names = sorted(self.world.database.streams)
        if not names:
            return
        media_id = self.world.chance.choice(names)
        strike = self.world.chance.choice(
            (
                self.forged_report,
                self.forged_token,
                self.old_report,
                self.other_job,
                self.foreign_keys,
                self.foreign_creator,
                self.early_success,
                self.unknown_attempt,
                self.older_attempt,
            )
        )
        await strike(media_id)

    def body(self, media_id: UUID, attempt: int, status: str, job_id: str, **output: Any) -> bytes:
        """A report as the worker would write it."""
        ids = {"mediaId": str(media_id), "attempt": attempt, "type": "video"}
        ids["attemptId"] = str(attempt_id(media_id, attempt))
        report = {"schemaVersion": 1, "jobId": job_id, "status": status}
        return json.dumps({**report, "output": {**ids, **output}}).encode()

    async def _must_be_refused(self, what: str, kind: str, key: Any, body: bytes) -> None:
        self.world.count(what)
        answer = await self.world.network.post(kind, key, body, 10.0)
        if answer is not None and answer.status not in {401, 503}:
            self.world.breaks("I4", f"{what} was answered {answer.status} {answer.said}")

    async def forged_report(self, media_id: UUID) -> None:
        """F08: signed with a secret that is not ours."""
        body = self.body(media_id, 1, "completed", "stolen-u1")
        headers = sign(FORGED, f"msg_{self.world.chance.uuid4().hex}", self._now(), body)
        await self._must_be_refused("F08: forged signature", "worker", headers, body)

    async def forged_token(self, media_id: UUID) -> None:
        """F08: a token that is not ours, under a key id that is."""
        key = CapabilityKey(self.world.settings.capability_keys[0].key_id, b"A" * 32)
        token = mint(key, Capability("webhook", media_id, 1, self._now() + 9999))
        await self._must_be_refused("F08: forged token", "native", token, b'{"id":"stolen-u1"}')

    async def old_report(self, _media_id: UUID) -> None:
        """A real callback, sent again when it is too old."""
        captured = self.world.captured_callbacks
        servers = [one.host.skew_s for one in self.world.replicas if one.serves]
        for headers, body in captured:
            stamp = int(headers["webhook-timestamp"])
            if all(abs(self._now() + s - stamp) > TOLERANCE_SECONDS + 60 for s in servers):
                await self._must_be_refused("F08: replayed report", "worker", headers, body)
                return

    async def other_job(self, media_id: UUID) -> None:
        """F09: a good token, and the job of another item in the body."""
        others = sorted(
            job_id
            for job_id, (owner, _) in self.world.watch.owners.items()
            if owner != str(media_id)
        )
        item = self.world.item(media_id)
        if item is None or not item.attempt:
            return
        others.append("made-up-u1")
        self.world.count("F09: another job's id under a good token")
        said = {"id": self.world.chance.choice(others), "status": "FAILED", "error": "x"}
        await self._post_native(media_id, item.attempt, said)

    async def unknown_attempt(self, media_id: UUID) -> None:
        """F11: a good token for an attempt that there is not."""
        self.world.count("F11: unknown attempt")
        await self._post_native(media_id, 7, {"id": "unknown-u1", "status": "COMPLETED"})

    async def _post_native(self, media_id: UUID, attempt: int, said: dict[str, str]) -> None:
        key = self.world.settings.capability_keys[0]
        token = mint(key, Capability("webhook", media_id, attempt, self._now() + 99_999))
        self.world.secret(token)
        body = json.dumps(said).encode()
        self.world.captured.append((token, body))
        await self.world.network.post("native", token, body, 10.0)

    async def foreign_keys(self, media_id: UUID) -> None:
        """F12: a worker that was taken over names another creator's outputs."""
        item = self.world.item(media_id)
        if item is None or item.status is not Status.TRANSCODING or not item.job_ids:
            return
        self.world.count("F12: foreign keys in a signed report")
        self.world.excuse(media_id, item.attempt, "foreign")
        key = f"somebody-else/hls/{media_id}/master.m3u8"
        job_id = item.job_ids[-1]
        body = self.body(media_id, item.attempt, "completed", job_id, hlsMasterKey=key)
        said = await self._signed(body)
        noticed = "foreign keys in a report" in self.world.journal.logged()
        if said is not None and said not in {"stale", "accepted", "mismatch"} and not noticed:
            self.world.breaks("I4", f"foreign keys were taken: {said}")

    async def older_attempt(self, media_id: UUID) -> None:
        """F10: a late report about the first attempt while the second one runs."""
        item = self.world.item(media_id)
        if item is None or item.attempt < 2 or item.status is not Status.TRANSCODING:
            return
        self.world.count("F10: a report about an older attempt")
        owners = self.world.watch.owners.items()
        first = [job_id for job_id, about in owners if about == (str(media_id), 1)]
        status = self.world.chance.choice(("failed", "completed"))
        await self._signed(self.body(media_id, 1, status, (first or ["older-u1"])[0]))

    async def early_success(self, media_id: UUID) -> None:
        """F15: a report of success before anything was written."""
        item = self.world.item(media_id)
        if item is None or item.status is not Status.TRANSCODING or not item.job_ids:
            return
        self.world.count("F15: success reported without outputs")
        await self._signed(self.body(media_id, item.attempt, "completed", item.job_ids[-1]))

    async def _signed(self, body: bytes) -> str | None:
        """Post `body` as the worker would; what came of it."""
        message_id = f"msg_{self.world.chance.uuid4().hex}"
        headers = sign(self.world.worker_secret, message_id, self._now(), body)
        self.world.captured_callbacks.append((headers, body))
        answer = await self.world.network.post("worker", headers, body, 10.0)
        return answer.said if answer is not None and answer.status == 200 else None

    async def foreign_creator(self, media_id: UUID) -> None:
        """A creator presses the buttons of somebody else's item."""
        context = Context(actor="creator:mallory", correlation_id=self.world.chance.uuid4())

        async def press(services, _host):  # type: ignore[no-untyped-def]
            if self.world.chance.happens(0.5):
                return await services.uploads.complete(media_id, "mallory", context)
            return await services.dispatch.retry(media_id, "mallory", context)

        self.world.count("F08: another creator's item")
        answer = await self.world.network.ask("foreign", press)
        if answer is not None and answer.status not in {403, 503}:
            self.world.breaks("I4", f"another creator's item answered {answer.status}")

    def _now(self) -> int:
        return int(EPOCH_S + now_s())


def kept(acknowledged: list[Acknowledged], before_s: float) -> list[Acknowledged]:
    """What was acknowledged before a moment."""
    return [one for one in acknowledged if one.at_s < before_s]
