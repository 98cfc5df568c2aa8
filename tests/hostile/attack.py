"""Hostile messages against the application in process, and what must be the same afterwards."""

import asyncio
import json
import logging
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import psutil
from starlette.applications import Starlette

from infra.bootstrap import Services
from infra.inbox import PATIENCE_S
from infra.loops import inbox_once
from infra.postgres.pool import Pool
from tests.hostile.kinds import Hostile
from tests.hostile.messages import hostile
from tests.hostile.scene import Scene

AT_ONCE = 16
MIB = 1024 * 1024
TABLES = (
    "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' "
    "AND table_type = 'BASE TABLE' AND table_name <> 'webhook_inbox' ORDER BY 1"
)


class Unanswered(Exception):
    """The application raised or said nothing."""


@dataclass
class Record:
    """What an attack came to."""

    statuses: Counter[int] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    rss_mib: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def growth_mib(self) -> float:
        """Memory at the end against that after the first tenth."""
        return self.rss_mib[-1] - self.rss_mib[0]

    def __str__(self) -> str:
        statuses = ", ".join(f"{code} × {count}" for code, count in sorted(self.statuses.items()))
        return (
            f"{sum(self.kinds.values())} messages of {len(self.kinds)} kinds in "
            f"{self.seconds:.1f} s; statuses: {statuses}; "
            f"memory: {self.rss_mib[0]:.1f} MiB after a tenth, {self.rss_mib[-1]:.1f} MiB at the "
            f"end ({self.growth_mib:+.1f}), most {max(self.rss_mib):.1f}"
        )


class Watch(logging.Handler):
    """Notices errors and secrets in the log."""

    def __init__(self, secrets: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._secrets = secrets
        self.errors: list[str] = []
        self.leaks: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.levelno >= logging.ERROR:
            self.errors.append(text)
        if any(secret in text for secret in self._secrets):
            self.leaks.append(text)


@contextmanager
def watching(scene: Scene) -> Iterator[Watch]:
    """Everything that is logged meanwhile."""
    settings = scene.settings
    secrets = [
        *settings.webhook_keys,
        settings.capability_secrets.get_secret_value(),
        scene.token(scene.running).rpartition(".")[0],
    ]
    watch = Watch(secrets)
    logging.getLogger().addHandler(watch)
    try:
        yield watch
    finally:
        logging.getLogger().removeHandler(watch)


async def fingerprint(pool: Pool) -> dict[str, str]:
    """A hash of every row of every table but the inbox."""
    names = [row["table_name"] for row in await pool.fetch(TABLES)]
    statement = "SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM {} t"
    return {name: await pool.fetchval(statement.format(name)) for name in names}


async def unsigned_rows(pool: Pool, scene: Scene) -> int:
    """How many messages of the worker's channel were kept without a good signature."""
    count: int = await pool.fetchval(
        "SELECT count(*) FROM webhook_inbox WHERE channel = 'worker' "
        "AND message_id <> ALL ($1::text[])",
        list(scene.valid_ids),
    )
    return count


async def attack(app: Starlette, scene: Scene, count: int, seed: int) -> Record:
    """Send so many messages, some at once."""
    chance = random.Random(seed)  # noqa: S311 - it must be repeatable
    record, process = Record(), psutil.Process()
    began = time.monotonic()
    for done in range(0, count, AT_ONCE):
        messages = [hostile(scene, chance) for _ in range(min(AT_ONCE, count - done))]
        await asyncio.gather(*(_judge(app, message, record) for message in messages))
        if done >= count // 10 and (done // AT_ONCE) % 20 == 0:
            record.rss_mib.append(process.memory_info().rss / MIB)
    record.rss_mib.append(process.memory_info().rss / MIB)
    record.seconds = time.monotonic() - began
    return record


async def _judge(app: Starlette, message: Hostile, record: Record) -> None:
    record.kinds[message.kind] += 1
    try:
        status = await deliver(app, message)
    except Exception as error:  # noqa: BLE001 - any is a finding
        record.wrong.append(f"{message.kind}: {error!r}: {message.body[:200]!r}")
        return
    record.statuses[status] += 1
    if not message.cut and status not in message.allowed:
        record.wrong.append(f"{message.kind}: {status}: {message.body[:200]!r}")
    if status >= 500:
        record.wrong.append(f"{message.kind}: {status}")


async def deliver(app: Starlette, message: Hostile) -> int:
    """Hand a request to the application as a server does; the answer's status."""
    sent: list[dict[str, Any]] = []
    parts = _parts(message)

    async def receive() -> dict[str, Any]:
        return parts.pop(0) if parts else {"type": "http.disconnect"}

    async def send(part: Any) -> None:
        sent.append(part)

    await app(_scope(message), receive, send)
    if not sent:
        raise Unanswered(message.kind)
    status: int = sent[0]["status"]
    if status >= 400:
        body = b"".join(part.get("body", b"") for part in sent[1:])
        assert json.loads(body)["status"] == status
    return status


def _parts(message: Hostile) -> list[dict[str, Any]]:
    body = message.body
    half = len(body) // 2
    first = {"type": "http.request", "body": body[:half], "more_body": True}
    if message.cut:
        return [first]
    return [first, {"type": "http.request", "body": body[half:], "more_body": False}]


def _scope(message: Hostile) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": message.path,
        "raw_path": message.path.encode("utf-8", "surrogatepass"),
        "root_path": "",
        "query_string": b"",
        "headers": [
            (name.encode(), value.encode("utf-8", "surrogatepass"))
            for name, value in message.headers
        ],
        "client": ("203.0.113.9", 4444),
        "server": ("service.test", 80),
    }


async def settle(services: Services, owner: Pool) -> None:
    """Let the inbox's loop decide all that was kept, as if the time to wait for it were over."""
    waited = timedelta(seconds=PATIENCE_S + 1)
    await owner.execute(
        "UPDATE webhook_inbox SET received_at = received_at - $1::interval, "
        "next_try_at = clock_timestamp() WHERE verdict IS NULL",
        waited,
    )
    while await inbox_once(services):
        pass
