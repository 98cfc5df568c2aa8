"""Hearing what the database notifies, on one connection a process.

What is notified while nobody listens is lost: who listens looks for himself after `connected`, and
now and then besides.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import asyncpg

from infra.postgres.pool import CONNECT_TIMEOUT_S, UNAVAILABLE

if TYPE_CHECKING:
    from infra.postgres.pool import Connection

FIRST_PAUSE_S, LAST_PAUSE_S = 0.5, 15.0
"""Between two tries to connect: doubled from the first to the last."""
CHECK_EVERY_S = 20.0
CHECK_TIMEOUT_S = 5.0

AWAY: tuple[type[Exception], ...] = (asyncpg.PostgresError, *UNAVAILABLE)

log = logging.getLogger(__name__)

Heard = Callable[[str, str], None]


async def listen(
    dsn: str, channels: Sequence[str], heard: Heard, connected: Callable[[], None]
) -> None:
    """Call `heard` with channel and payload of each notification, until cancelled.

    A connection that breaks, or does not answer any more, is replaced.
    """
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            connection = await _connect(dsn)
            try:
                await _hear(connection, channels, heard, connected)
                pause_s = FIRST_PAUSE_S
            finally:
                connection.terminate()
        except AWAY as error:
            log.warning("listening: %s: %s", type(error).__name__, error)
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, LAST_PAUSE_S)


async def _connect(dsn: str) -> "Connection":
    return await asyncpg.connect(
        dsn,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=CHECK_TIMEOUT_S,
        server_settings={"application_name": "codex-media listener"},
    )


async def _hear(
    connection: "Connection", channels: Sequence[str], heard: Heard, connected: Callable[[], None]
) -> None:
    """Return once the connection is gone."""
    lost = asyncio.Event()
    connection.add_termination_listener(lambda _: lost.set())

    def notified(_connection: object, _pid: int, channel: str, payload: object) -> None:
        heard(channel, str(payload))

    for channel in channels:
        await connection.add_listener(channel, notified)
    connected()
    while not lost.is_set():
        try:
            await asyncio.wait_for(lost.wait(), CHECK_EVERY_S)
        except TimeoutError:
            await connection.execute("SELECT 1")
    log.warning("listening: the connection broke")
