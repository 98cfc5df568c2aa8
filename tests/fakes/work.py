"""Work that is left to do, and messages that wait, in memory."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from domain import ports
from domain.lifecycle import Status
from tests.fakes.database import (
    LEASE,
    POLL_INTERVAL,
    CallsEntry,
    InboxEntry,
    MemoryDatabase,
    OutboxEntry,
)

MOST_CALLS = 2
PROBE_INTERVAL = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class MemoryOutbox:
    """Attempts that still need a job; a taken one is due again after `LEASE`."""

    database: MemoryDatabase

    async def take(self, media_id: UUID | None = None) -> ports.Lease | None:
        """Lease the attempt that is due longest (of one item, if given)."""
        if self.database.breakers:
            return None
        due = [
            (entry.next_try_at, key)
            for key, entry in self.database.outbox.items()
            if entry.next_try_at <= self.database.clock and media_id in {None, key[0]}
        ]
        if not due:
            return None
        _, (of, attempt) = min(due)
        entry = self.database.outbox[of, attempt]
        entry.tries += 1
        entry.next_try_at = self.database.clock + LEASE
        return ports.Lease(of, attempt, entry.tries)

    async def postpone(self, lease: ports.Lease, delay_s: float, reason: str) -> None:
        entry = self.database.outbox.get((lease.media_id, lease.attempt))
        if entry is not None:
            entry.next_try_at = self.database.clock + timedelta(seconds=delay_s)
            entry.last_error = reason

    async def add(self, media_id: UUID, attempt: int) -> None:
        """Queue an attempt whose job was lost; one that is queued already stays as it is."""
        self.database.outbox.setdefault((media_id, attempt), OutboxEntry(self.database.clock))

    async def drop(self, lease: ports.Lease) -> None:
        self.database.outbox.pop((lease.media_id, lease.attempt), None)

    async def calls(self, media_id: UUID, attempt: int) -> ports.Calls:
        entry = self.database.calls.get((media_id, attempt))
        if entry is None:
            return ports.Calls(0, 0.0)
        age = self.database.clock - entry.called_at
        return ports.Calls(entry.made, age.total_seconds())

    async def begin_call(self, lease: ports.Lease) -> bool:
        key = (lease.media_id, lease.attempt)
        entry = self.database.calls.setdefault(key, CallsEntry(0, self.database.clock))
        if entry.made >= MOST_CALLS:
            return False
        entry.made, entry.called_at = entry.made + 1, self.database.clock
        return True

    async def take_back_call(self, lease: ports.Lease) -> None:
        self.database.calls[lease.media_id, lease.attempt].made -= 1


@dataclass(frozen=True, slots=True)
class MemoryWatchlist:
    """Jobs to ask the vendor about; polls of one are `POLL_INTERVAL` apart, growing to `last`."""

    database: MemoryDatabase
    last: timedelta = POLL_INTERVAL

    async def take(self) -> ports.WatchedJob | None:
        """Lease the job that is due longest."""
        due = [
            (job.next_poll_at, job_id)
            for job_id, job in self.database.jobs.items()
            if not job.closed and job.next_poll_at <= self.database.clock
        ]
        if not due:
            return None
        _, job_id = min(due)
        job = self.database.jobs[job_id]
        interval = min(POLL_INTERVAL * 1.5 ** min(job.polls, 20), self.last)
        job.next_poll_at, job.polls = self.database.clock + interval, job.polls + 1
        return ports.WatchedJob(job_id, job.media_id, job.attempt)

    async def find(self, job_id: str) -> ports.WatchedJob | None:
        job = self.database.jobs.get(job_id)
        return None if job is None else ports.WatchedJob(job_id, job.media_id, job.attempt)

    async def reopen(self, job_id: str) -> None:
        if job_id in self.database.jobs:
            self.database.jobs[job_id].closed = False

    async def hurry(self, media_id: UUID, attempt: int) -> None:
        for job in self.database.jobs.values():
            if (job.media_id, job.attempt) == (media_id, attempt):
                job.next_poll_at = self.database.clock

    async def close(self, job_id: str) -> None:
        if job_id in self.database.jobs:
            self.database.jobs[job_id].closed = True

    async def close_for_another(self, media_id: UUID, attempt: int, job_id: str | None) -> bool:
        others = {key for key in await self.open_jobs(media_id) if key != job_id}
        about = (media_id, attempt)
        had = sum((job.media_id, job.attempt) == about for job in self.database.jobs.values())
        if not others and (about not in self.database.outbox or had >= MOST_CALLS):
            return False
        if job_id is not None:
            await self.close(job_id)
        return True

    async def open_jobs(self, media_id: UUID) -> list[str]:
        return [
            job_id
            for job_id, job in self.database.jobs.items()
            if job.media_id == media_id and not job.closed
        ]


@dataclass(frozen=True, slots=True)
class MemoryDeadlines:
    """States that end by themselves, as the rows have them."""

    database: MemoryDatabase

    async def overdue(self, limit: int) -> list[ports.Overdue]:
        now = self.database.clock
        late = sorted(
            (deadline, media_id)
            for media_id, row in self.database.rows.items()
            if row["deadline_at"]
            and (deadline := datetime.fromisoformat(row["deadline_at"])) <= now
        )
        return [
            ports.Overdue(media_id, Status(self.database.rows[media_id]["status"]))
            for _, media_id in late[:limit]
        ]


@dataclass(frozen=True, slots=True)
class MemoryBreakers:
    """What pauses dispatch; a probe is leased for `PROBE_INTERVAL`."""

    database: MemoryDatabase

    async def trip(self, breaker: ports.Breaker, reason: str) -> None:  # noqa: ARG002 - the port's
        self.database.breakers.setdefault(breaker, self.database.clock)

    async def take_probe(self) -> ports.Breaker | None:
        for breaker, due in sorted(self.database.breakers.items()):
            if due <= self.database.clock:
                self.database.breakers[breaker] = self.database.clock + PROBE_INTERVAL
                return breaker
        return None

    async def reset(self, breaker: ports.Breaker) -> None:
        self.database.breakers.pop(breaker, None)


@dataclass(frozen=True, slots=True)
class MemoryInbox:
    """Messages; one without a verdict is due again after `LEASE`."""

    database: MemoryDatabase

    async def receive(
        self,
        channel: ports.Channel,
        message_id: str,
        media_id: UUID,
        attempt: int,
        body: bytes,
    ) -> ports.Received:
        entry = self.database.inbox.get((channel, message_id))
        if entry is not None:
            return ports.Received(entry.message, new=False, verdict=entry.verdict)
        row_id = len(self.database.inbox) + 1
        message = ports.Message(row_id, channel, media_id, attempt, body, 0.0, 1)
        clock = self.database.clock
        self.database.inbox[channel, message_id] = InboxEntry(message, clock, clock + LEASE)
        return ports.Received(message, new=True, verdict=None)

    async def take(self) -> ports.Message | None:
        due = [
            (entry.next_try_at, entry.message.row_id)
            for entry in self.database.inbox.values()
            if entry.next_try_at is not None and entry.next_try_at <= self.database.clock
        ]
        if not due:
            return None
        entry = self._entry(min(due)[1])
        entry.next_try_at = self.database.clock + LEASE
        age_s = (self.database.clock - entry.received_at).total_seconds()
        entry.message = entry.message._replace(age_s=age_s, tries=entry.message.tries + 1)
        return entry.message

    async def decide(self, row_id: int, verdict: str) -> None:
        entry = self._entry(row_id)
        entry.verdict, entry.next_try_at = verdict, None

    async def postpone(self, row_id: int, delay_s: float) -> None:
        entry = self._entry(row_id)
        if entry.verdict is None:
            entry.next_try_at = self.database.clock + timedelta(seconds=delay_s)

    def _entry(self, row_id: int) -> InboxEntry:
        return next(e for e in self.database.inbox.values() if e.message.row_id == row_id)
