"""What is looked at while a schedule runs: appends, writes of workers, calls of /run."""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from domain import events as e
from domain.failure import ErrorCode
from domain.lifecycle import Status
from domain.media import MAX_ATTEMPTS, MediaItem, evolve
from domain.ports import Channel
from domain.read_model import project
from gpu_worker.contract import Manifest, OutputLayout, claim_key
from tests.simulate.processes import now_s

if TYPE_CHECKING:
    from tests.simulate.bucket import S3Client
    from tests.simulate.runpod import Job
    from tests.simulate.service import Answer
    from tests.simulate.world import World

MOST_CALLS = 2
LEASE_S = 60.0
FINAL = frozenset({Status.READY, Status.FAILED, Status.ERASED})


class Acknowledged(NamedTuple):
    """Something that was answered with 2xx, and must stay."""

    what: str
    at_s: float
    media_id: UUID | None = None
    message: tuple[Channel, str] | None = None


@dataclass(slots=True)
class Watch:
    """Keeps what can be told only while it happens."""

    world: "World"
    queued: Counter[tuple[str, int]] = field(default_factory=Counter)
    owners: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Media and attempt of every job that RunPod ever took."""
    holders: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    """Who took each claim, and when."""
    renewed: dict[str, tuple[float, bool]] = field(default_factory=dict)
    """When each claim was written last, and whether it was given up then."""
    first_writes: dict[tuple[str, int], float] = field(default_factory=dict)
    folded: dict[UUID, MediaItem] = field(default_factory=dict)
    acknowledged: list[Acknowledged] = field(default_factory=list)

    def item(self, media_id: UUID) -> MediaItem | None:
        """The item as its history makes it. Folded from where it was folded before."""
        stream, item = self.world.database.streams.get(media_id, []), self.folded.get(media_id)
        if item is None or item.version > len(stream):
            item = None
        for stored in stream[item.version if item else 0 :]:
            item = evolve(item, stored.event)
        if item is not None:
            self.folded[media_id] = item
        return item

    def job_queued(self, job: "Job") -> None:
        """RunPod took a job."""
        self.owners[job.job_id] = job.about
        self.call_arrived(job.about)
        if self.queued[job.about] > 1:
            self.world.count("F17: a second job for an attempt")
        self.world.note("runpod", f"{job.job_id} for {job.about}")

    def call_arrived(self, about: tuple[str, int]) -> None:
        """A call of /run arrived that queued a job, or that its caller must think did."""
        self.queued[about] += 1
        if self.queued[about] > MOST_CALLS * (1 + len(self.world.restores)):
            self.world.breaks("I7", f"call {self.queued[about]} of /run for {about}")

    def written(self, client: "S3Client", key: str, body: bytes, sent_s: float) -> None:
        """An object was stored or deleted."""
        parts = key.split("/")
        if len(parts) < 3 or parts[1] == "originals":
            return
        media_id = parts[3] if parts[1] == "thumbnails" else parts[2]
        if not body and self._is_erased(media_id):
            return
        if parts[1] == "claims":
            self._claimed(client, key, json.loads(body))
        else:
            self._output_written(client, media_id, key, sent_s)

    def _is_erased(self, media_id: str) -> bool:
        item = self.item(UUID(media_id))
        return item is not None and item.status is Status.ERASED

    def _claimed(self, client: "S3Client", key: str, claim: dict[str, Any]) -> None:
        client.holder = (key, claim["holder"])
        history = self.holders.setdefault(key, [])
        if not history or history[-1][1] != claim["holder"]:
            self.world.note("claim", f"{key} by {claim['holder']} of {claim['jobId']}")
            if history:
                self.world.count("F17: a claim was taken over")
                renewed_s, released = self.renewed[key]
                if not released and now_s() - renewed_s < LEASE_S:
                    self.world.breaks("I7", f"{key} was taken from a living holder")
            history.append((now_s(), claim["holder"]))
        self.renewed[key] = (now_s(), claim["released"])

    def _output_written(self, client: "S3Client", media_id: str, key: str, sent_s: float) -> None:
        if client.holder is None:
            self.world.breaks("I7", f"{key} was written by a run without a claim")
            return
        claim, holder = client.holder
        attempt = int(claim.rpartition("/")[2])
        history = self.holders[claim]
        place = max(i for i, (_, who) in enumerate(history) if who == holder)
        if place + 1 < len(history) and history[place + 1][0] < sent_s:
            self.world.breaks("I7", f"{key} was written by {holder}, which had lost its claim")
        self.first_writes.setdefault((media_id, attempt), sent_s)
        newer = self.first_writes.get((media_id, attempt + 1))
        if newer is not None and newer < sent_s:
            self.world.breaks("I7", f"{key} was written by the attempt before the one at work")

    def changed(self) -> None:
        """The database changed: whoever dies now leaves it like this."""
        tables = self.world.database
        for media_id, row in tables.rows.items():
            waits = any(key[0] == media_id for key in tables.outbox)
            if waits or row["status"] != Status.TRANSCODING:
                continue
            if all(job.closed for job in tables.jobs.values() if job.media_id == media_id):
                self.world.breaks("I6", f"nobody acts on {media_id} before its deadline")

    def arrived(self, job_id: str | None) -> None:
        """A webhook about a job reached the service."""
        media_id, attempt = self.owners.get(job_id or "", ("", 0))
        item = self.item(UUID(media_id)) if media_id else None
        if item is not None and item.runs(attempt) and job_id not in item.job_ids:
            self.world.count("F05: a webhook before our own commit")

    def appended(self, media_id: UUID) -> None:
        """A stream grew."""
        world = self.world
        stream = world.database.streams[media_id]
        row, item = world.database.rows[media_id], self.item(media_id)
        assert item is not None
        world.note("event", f"{media_id} {stream[-1].version} {stream[-1].event!r}")
        if row != project(media_id, item):
            world.breaks("I1", f"the row of {media_id} is not what its events make")
        if item.status not in FINAL and item.deadline is None:
            world.breaks("I6", f"{media_id} is {item.status} without a deadline")
        self._attempts(media_id, [stored.event for stored in stream])
        if item.status is Status.READY:
            self.outputs_stand(media_id)
        if item.failure is not None and item.failure.code is ErrorCode.WORKER_LOST:
            self._nobody_works(media_id, item)
        if any(isinstance(stored.event, e.Erased) for stored in stream[:-1]):
            world.breaks("I10", f"{media_id} went on after it was erased")

    def _nobody_works(self, media_id: UUID, item: MediaItem) -> None:
        """An attempt is only given up as lost when nobody works on it."""
        key = claim_key(item.creator_id, media_id, item.attempt)
        if key not in self.renewed or self.world.restores:
            return
        renewed_s, released = self.renewed[key]
        if not released and now_s() - renewed_s < LEASE_S:
            self.world.breaks("failure", f"{media_id} is lost, and its claim is held")

    def _attempts(self, media_id: UUID, history: list[e.Event]) -> None:
        numbers = [event.attempt for event in history if isinstance(event, e.TranscodingRequested)]
        if numbers != list(range(1, len(numbers) + 1)) or len(numbers) > MAX_ATTEMPTS:
            self.world.breaks("I2", f"{media_id} has the attempts {numbers}")
        live = 0
        for event in history:
            match event:
                case e.TranscodingRequested():
                    if live:
                        self.world.breaks("I2", f"{media_id} has two live attempts")
                    live = event.attempt
                case e.TranscodingCompleted() | e.TranscodingFailed():
                    if event.attempt != live:
                        self.world.breaks("I2", f"{media_id}: {event.type} of a dead attempt")
                    live = 0
                case e.TranscodingSubmitted():
                    owner = self.owners.get(event.runpod_job_id)
                    if owner != (str(media_id), event.attempt):
                        what = f"{event.runpod_job_id} of {owner} is recorded for {media_id}"
                        self.world.breaks("I4", what)
                case _:
                    pass
        ends = [event.type for event in history if isinstance(event, e.TranscodingCompleted)]
        last = [event for event in history if not isinstance(event, e.Erased)][-1]
        if ends and not isinstance(last, e.TranscodingCompleted):
            self.world.breaks("I3", f"{media_id} went on after it was ready")

    def outputs_stand(self, media_id: UUID) -> None:
        """I3: a ready item's objects are all there."""
        world = self.world
        item = self.item(media_id)
        assert item is not None
        layout, objects = OutputLayout(item.creator_id, media_id), world.bucket.objects
        manifest = objects.get(layout.manifest)
        if item.outputs is None or manifest is None:
            world.breaks("I3", f"{media_id} is ready without a manifest")
            return
        if manifest.sha256 != item.outputs.manifest_sha256:
            world.breaks("I3", f"{media_id} has another manifest than the recorded one")
        for expected in Manifest.model_validate_json(manifest.body).objects:
            found = objects.get(expected.key)
            if found is None or (len(found.body), found.sha256) != (expected.size, expected.sha256):
                world.breaks("I3", f"{expected.key} is not what the manifest of {media_id} says")

    def posted(self, kind: str, key: Any, body: bytes, answer: "Answer | None") -> None:
        """A webhook was answered; its sender may have stood still since."""
        if answer is None or answer.status != 200 or answer.said == "enough":
            return
        if any(taken_s <= answer.at_s < at_s for taken_s, at_s in self.world.restores):
            return
        if kind == "worker":
            message = (Channel.WORKER, key["webhook-id"])
        else:
            about = UUID(key.split(".")[1]), int(key.split(".")[2])
            digest = hashlib.sha256(f"{about[0]}/{about[1]}/".encode() + body).hexdigest()
            message = (Channel.RUNPOD, digest)
        self.acknowledged.append(Acknowledged("webhook", answer.at_s, message=message))


def consecutive(versions: list[int]) -> bool:
    """Whether they count from 1 without a gap."""
    return versions[:1] == [1] and all(b == a + 1 for a, b in pairwise(versions))
