"""Calls, breakers and messages: one suite for the database and for the fake other tests use."""

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import pytest
import pytest_asyncio

from domain.ports import Breaker, Breakers, Channel, EventStore, Inbox, Lease, Outbox
from infra.postgres.event_store import PostgresEventStore
from infra.postgres.inbox import ENOUGH, MOST_OF_AN_ATTEMPT, PostgresInbox
from infra.postgres.pool import Pool
from infra.postgres.work import PostgresBreakers, PostgresOutbox
from tests import factories as f
from tests.fakes import (
    MemoryBreakers,
    MemoryDatabase,
    MemoryEventStore,
    MemoryInbox,
    MemoryOutbox,
)
from tests.infra import lives
from tests.infra.lives import live

LEASE = Lease(f.MEDIA_ID, 1, 1)
CALLERS = 20


class Kept(ABC):
    """The three, over one database that holds an attempt to be sent."""

    store: EventStore
    outbox: Outbox
    breakers: Breakers
    inbox: Inbox

    @abstractmethod
    async def wait(self, duration: timedelta) -> None:
        """Let time pass."""


@dataclass
class InMemory(Kept):
    """The fakes."""

    database: MemoryDatabase

    def __post_init__(self) -> None:
        self.store = MemoryEventStore(self.database)
        self.outbox = MemoryOutbox(self.database)
        self.breakers = MemoryBreakers(self.database)
        self.inbox = MemoryInbox(self.database)

    async def wait(self, duration: timedelta) -> None:
        self.database.advance(duration)


@dataclass
class InPostgres(Kept):
    """The real ones. Time passes by moving what was written into the past."""

    pool: Pool
    owner: Pool

    def __post_init__(self) -> None:
        self.store = PostgresEventStore(self.pool)
        self.outbox = PostgresOutbox(self.pool)
        self.breakers = PostgresBreakers(self.pool)
        self.inbox = PostgresInbox(self.pool)

    async def wait(self, duration: timedelta) -> None:
        for table, columns in (
            ("outbox", ("next_try_at",)),
            ("run_calls", ("called_at",)),
            ("breakers", ("next_probe_at",)),
            ("webhook_inbox", ("received_at", "next_try_at")),
        ):
            moved = ", ".join(f"{column} = {column} - $1::interval" for column in columns)
            await self.owner.execute(f"UPDATE {table} SET {moved}", duration)  # noqa: S608 - our own names


@pytest.fixture(params=["memory", "postgres"])
def empty(request: pytest.FixtureRequest) -> Kept:
    """Each kind, with nothing in it."""
    if request.param == "memory":
        return InMemory(MemoryDatabase())
    return InPostgres(request.getfixturevalue("pool"), request.getfixturevalue("owner"))


@pytest_asyncio.fixture
async def kept(empty: Kept) -> Kept:
    """Each kind, with an attempt to be sent."""
    await live(empty.store, lives.REQUESTED)
    return empty


async def test_calls_are_counted_and_there_are_two(kept: Kept) -> None:
    assert (await kept.outbox.calls(f.MEDIA_ID, 1)).made == 0
    assert [await kept.outbox.begin_call(LEASE) for _ in range(3)] == [True, True, False]
    assert (await kept.outbox.calls(f.MEDIA_ID, 1)).made == 2
    assert (await kept.outbox.calls(f.MEDIA_ID, 2)).made == 0
    await kept.outbox.take_back_call(LEASE)
    assert (await kept.outbox.calls(f.MEDIA_ID, 1)).made == 1
    assert await kept.outbox.begin_call(LEASE)


async def test_f37_of_many_that_begin_a_call_at_once_two_may(kept: Kept) -> None:
    begun = await asyncio.gather(*(kept.outbox.begin_call(LEASE) for _ in range(CALLERS)))
    assert sum(begun) == 2


async def test_the_age_of_calls_is_that_of_the_last(kept: Kept) -> None:
    await kept.outbox.begin_call(LEASE)
    await kept.wait(timedelta(minutes=5))
    assert 299 < (await kept.outbox.calls(f.MEDIA_ID, 1)).age_s < 330
    await kept.outbox.begin_call(LEASE)
    assert (await kept.outbox.calls(f.MEDIA_ID, 1)).age_s < 30


async def test_a_tripped_breaker_holds_every_attempt_back(kept: Kept) -> None:
    await kept.breakers.trip(Breaker.BUCKET, "it refused a worker")
    await kept.breakers.trip(Breaker.BUCKET, "and another one")
    assert await kept.outbox.take() is None
    assert await kept.outbox.take(f.MEDIA_ID) is None
    await kept.breakers.reset(Breaker.BUCKET)
    assert await kept.outbox.take(f.MEDIA_ID) == LEASE


async def test_a_breaker_is_probed_by_one_at_a_time_and_again_until_it_is_reset(
    kept: Kept,
) -> None:
    assert await kept.breakers.take_probe() is None
    await kept.breakers.trip(Breaker.RUNPOD_KEY, "401")
    taken = await asyncio.gather(*(kept.breakers.take_probe() for _ in range(CALLERS)))
    assert [breaker for breaker in taken if breaker] == [Breaker.RUNPOD_KEY]
    await kept.wait(timedelta(seconds=16))
    assert await kept.breakers.take_probe() is Breaker.RUNPOD_KEY
    await kept.breakers.reset(Breaker.RUNPOD_KEY)
    await kept.wait(timedelta(hours=1))
    assert await kept.breakers.take_probe() is None


async def test_a_message_is_kept_once_with_its_bytes_and_its_verdict(kept: Kept) -> None:
    stranger, body = uuid4(), b"\x00raw\xff"
    received = await kept.inbox.receive(Channel.WORKER, "m", stranger, 3, body)
    assert (received.new, received.verdict) == (True, None)
    assert received.message[1:5] == (Channel.WORKER, stranger, 3, body)
    again = await kept.inbox.receive(Channel.WORKER, "m", stranger, 3, body)
    assert (again.new, again.verdict) == (False, None)
    await kept.inbox.decide(received.message.row_id, "failed")
    again = await kept.inbox.receive(Channel.WORKER, "m", stranger, 3, body)
    assert (again.new, again.verdict) == (False, "failed")
    other = await kept.inbox.receive(Channel.RUNPOD, "m", stranger, 3, body)
    assert other.new


async def test_f06_of_a_message_that_comes_many_times_at_once_one_is_new(kept: Kept) -> None:
    received = await asyncio.gather(
        *(kept.inbox.receive(Channel.WORKER, "m", f.MEDIA_ID, 1, b"body") for _ in range(CALLERS))
    )
    assert sum(each.new for each in received) == 1
    assert len({each.message.row_id for each in received}) == 1


async def test_a_message_is_leased_to_its_receiver_and_comes_back(kept: Kept) -> None:
    received = await kept.inbox.receive(Channel.RUNPOD, "m", f.MEDIA_ID, 1, b"body")
    assert await kept.inbox.take() is None
    await kept.wait(timedelta(seconds=61))
    taken = [m for m in await asyncio.gather(*(kept.inbox.take() for _ in range(CALLERS))) if m]
    assert [message.row_id for message in taken] == [received.message.row_id]
    assert (taken[0].body, taken[0].tries) == (b"body", 2)
    assert 60 < taken[0].age_s < 90
    await kept.inbox.postpone(taken[0].row_id, 10)
    assert await kept.inbox.take() is None
    await kept.wait(timedelta(seconds=11))
    assert await kept.inbox.take() is not None


async def test_a_message_with_a_verdict_is_looked_at_no_more(kept: Kept) -> None:
    received = await kept.inbox.receive(Channel.RUNPOD, "m", f.MEDIA_ID, 1, b"body")
    await kept.inbox.decide(received.message.row_id, "stale")
    await kept.inbox.postpone(received.message.row_id, 0)
    await kept.wait(timedelta(days=1))
    assert await kept.inbox.take() is None


async def test_a_leaked_token_cannot_fill_the_inbox(pool: Pool) -> None:
    inbox = PostgresInbox(pool)
    for number in range(MOST_OF_AN_ATTEMPT + 5):
        received = await inbox.receive(Channel.RUNPOD, f"m{number}", f.MEDIA_ID, 1, b"body")
        assert received.new is (number < MOST_OF_AN_ATTEMPT)
    assert received.verdict == ENOUGH
    assert (await inbox.receive(Channel.RUNPOD, "m0", f.MEDIA_ID, 1, b"body")).verdict is None
    assert (await inbox.receive(Channel.WORKER, "m", f.MEDIA_ID, 1, b"body")).new
    assert (await inbox.receive(Channel.RUNPOD, "m", f.MEDIA_ID, 2, b"body")).new
