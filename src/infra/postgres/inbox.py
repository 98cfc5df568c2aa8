"""Messages about jobs as they came, kept before anything is made of them."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from domain.ports import Channel, Message, Received
from gpu_worker.contract_trace import go_on
from infra.postgres.pool import Pool
from infra.postgres.queries import sql
from infra.postgres.work import LEASE

ENOUGH = "enough"
MOST_OF_AN_ATTEMPT = 64
"""Messages of one channel kept about one attempt. A worker sends two a job, RunPod three."""


@dataclass(frozen=True, slots=True)
class PostgresInbox:
    """`domain.ports.Inbox` over a pool."""

    pool: Pool
    lease: timedelta = LEASE

    async def receive(
        self, channel: Channel, message_id: str, media_id: UUID, attempt: int, body: bytes
    ) -> Received:
        """Keep a message, leased to the receiver; the same one is kept once.

        Beyond `MOST_OF_AN_ATTEMPT` nothing is kept, and the verdict is `ENOUGH`.
        """
        key = (channel.value, message_id)
        row_id = await self.pool.fetchval(
            sql("receive"), *key, media_id, attempt, body, self.lease, MOST_OF_AN_ATTEMPT
        )
        if channel is Channel.RUNPOD:  # It sends no `traceparent`, and nothing is loaded now.
            go_on(await self.pool.fetchval(sql("traceparent_of"), media_id))
        message = Message(row_id or 0, channel, media_id, attempt, body, 0.0, 1)
        if row_id is not None:
            return Received(message, new=True, verdict=None)
        earlier = await self.pool.fetchrow(sql("received_before"), *key)
        if earlier is None:
            return Received(message, new=False, verdict=ENOUGH)
        message = message._replace(row_id=earlier["id"])
        return Received(message, new=False, verdict=earlier["verdict"])

    async def take(self) -> Message | None:
        """Lease a message without a verdict whose time has come; None when there is none."""
        row = await self.pool.fetchrow(sql("take_message"), self.lease)
        if row is None:
            return None
        row_id, channel, *rest = row
        return Message(row_id, Channel(channel), *rest)

    async def decide(self, row_id: int, verdict: str) -> None:
        """Note what became of a message."""
        await self.pool.execute(sql("set_verdict"), row_id, verdict)

    async def postpone(self, row_id: int, delay_s: float) -> None:
        """Look at a message again after `delay_s` seconds."""
        await self.pool.execute(sql("postpone_message"), row_id, timedelta(seconds=delay_s))
