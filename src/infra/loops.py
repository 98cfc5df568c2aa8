"""The loops of `codex-media work`: any number of replicas may run them, work is leased.

dispatcher  sends what the outbox holds
inbox       acts on messages that could not be acted on at once
reconciler  asks RunPod about jobs whose end nobody reported
assistants  calls jobs that help with long films, and dismisses them
prober      tries again what paused dispatch
sweeper     ends states that have outlived their deadline
tidier      gives up parts of uploads that are over
eraser      removes the objects of erased items
retention   erases items that were kept long enough
sealer      gives committed events their place in the ledger, and signs it
checker     compares projected rows with their histories, some at a time
tally       sums up what attempts came to and cost
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from domain.errors import DomainError, StorageUnavailable, StoreInterrupted, TranscoderError
from domain.lifecycle import Status
from domain.ports import Breaker
from gpu_worker.contract_logs import bind, bound
from gpu_worker.contract_trace import below, tracing
from infra import spans
from infra.bootstrap import Services
from infra.figures.process import loop_stepped
from infra.postgres.pool import UNAVAILABLE, SchemaBehind
from infra.postgres.replay import check_projection_once

IDLE_S = 1.0
SEALER_IDLE_S = 0.2
"""How much later than a commit the ledger's readers may see it."""
CHECKER_IDLE_S = 10.0
TIDIER_IDLE_S = 5.0
RETENTION_IDLE_S = 600.0
"""Between two rounds through all items: days are what they are kept for."""
TALLY_IDLE_S = 5.0
AFTER_ERROR_S = 5.0
SWEEP_BATCH = 100
STUCK_S = 1800.0
"""Longer than any step may take: its calls have limits, and so has their number."""

EXPECTED: tuple[type[Exception], ...] = (
    DomainError,
    StorageUnavailable,
    StoreInterrupted,
    TranscoderError,
    SchemaBehind,
    *UNAVAILABLE,
)

log = logging.getLogger(__name__)


async def dispatch_once(services: Services) -> bool:
    """Send one due attempt; whether there was one."""
    lease = await services.outbox.take()
    if lease is None:
        return False
    bind(media_id=lease.media_id, attempt=lease.attempt)
    item = await services.dispatch.send(lease)
    log.info("dispatched: %s", item.status)
    return True


async def reconcile_once(services: Services) -> bool:
    """Ask about one due job; whether there was one."""
    job = await services.watchlist.take()
    if job is None:
        return False
    bind(media_id=job.media_id, attempt=job.attempt, job_id=job.job_id)
    await services.outcomes.reconcile(job)
    return True


async def inbox_once(services: Services) -> bool:
    """Look at one message that waits; whether there was one."""
    return await services.desk.process_once()


async def probe_once(services: Services) -> bool:
    """Try what paused dispatch; whether it may go on."""
    breaker = await services.breakers.take_probe()
    if breaker is None:
        return False
    if breaker is Breaker.BUCKET:
        await services.storage.probe()
    else:
        await services.transcoder.ping()
    await services.breakers.reset(breaker)
    log.warning("dispatch goes on: %s answers again", breaker)
    return True


async def assistants_once(services: Services) -> bool:
    """Call or dismiss one job that helps; whether there was one."""
    return await services.assistants.step()


async def sweep_once(services: Services) -> bool:
    """End every state that is overdue; whether there may be more that can be ended now."""
    found = await services.deadlines.overdue(SWEEP_BATCH)
    ended = []
    for media_id, status in found:
        with bound(media_id=media_id), tracing(below(None)):
            ended.append(await _end(services, media_id, status))
    return len(found) == SWEEP_BATCH and any(ended)


async def tidy_once(services: Services) -> bool:
    """Give up what arrived in parts and nobody will join; whether more may wait."""
    return await services.parts.tidy()


async def erase_once(services: Services) -> bool:
    """Remove the objects of one erased item; whether there was one."""
    return await services.erasure.step()


async def retain_once(services: Services) -> bool:
    """Erase what was kept long enough, of some items; whether there are more."""
    return await services.retention.step()


async def seal_once(services: Services) -> bool:
    """Seal a batch of events; whether more may wait."""
    return await services.sealer.seal_once()


async def check_once(services: Services) -> bool:
    """Compare some projected rows with their histories; wrong ones are logged as errors."""
    await check_projection_once(services.pool)
    return False


async def tally_once(services: Services) -> bool:
    """Sum up a batch of the ledger; whether more may wait."""
    return await services.tally.step()


async def _end(services: Services, media_id: UUID, status: Status) -> bool:
    """Whether the item could be ended: one that cannot must not keep the others from ending."""
    expire = services.uploads if status is Status.UPLOADING else services.outcomes
    try:
        await expire.expire(media_id)
    except EXPECTED as error:
        log.warning("cannot be ended: %s", error)
        return False
    except Exception:
        log.exception("cannot be ended: unexpected; going on")
        return False
    return True


class Pulse:
    """When each loop made its last step."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._steps = {loop.name: now() for loop in LOOPS}

    def beat(self, loop: str) -> None:
        """It made one."""
        self._steps[loop] = self._now()

    def stuck(self) -> list[str]:
        """The loops that made none for `STUCK_S` seconds."""
        since = self._now() - STUCK_S
        return [loop for loop, stepped in self._steps.items() if stepped < since]


async def run_loops(services: Services, stop: asyncio.Event, pulse: Pulse | None = None) -> None:
    """Run the loops until `stop` is set; `pulse` is told of their steps."""
    kept = pulse or Pulse()
    async with asyncio.TaskGroup() as group:
        for loop in LOOPS:
            group.create_task(_loop(loop, services, stop, kept), name=loop.name)


class Loop(NamedTuple):
    """What is done again and again, and how long after it found nothing to do."""

    name: str
    step: Callable[[Services], Awaitable[bool]]
    idle_s: float


LOOPS = (
    Loop("dispatcher", dispatch_once, IDLE_S),
    Loop("inbox", inbox_once, IDLE_S),
    Loop("reconciler", reconcile_once, IDLE_S),
    Loop("assistants", assistants_once, IDLE_S),
    Loop("prober", probe_once, IDLE_S),
    Loop("sweeper", sweep_once, IDLE_S),
    Loop("tidier", tidy_once, TIDIER_IDLE_S),
    Loop("eraser", erase_once, IDLE_S),
    Loop("retention", retain_once, RETENTION_IDLE_S),
    Loop("sealer", seal_once, SEALER_IDLE_S),
    Loop("checker", check_once, CHECKER_IDLE_S),
    Loop("tally", tally_once, TALLY_IDLE_S),
)


async def _loop(loop: Loop, services: Services, stop: asyncio.Event, pulse: Pulse) -> None:
    while not stop.is_set():
        with bound(loop=loop.name), tracing(below(None)):
            began_ns = time.time_ns()
            outcome = await _step(loop.step, services)
            spans.of_item(f"{loop.name} step", began_ns, failed=outcome is Stepped.FAILED)
        pulse.beat(loop.name)
        loop_stepped(loop.name, outcome)
        if outcome is not Stepped.WORKED:
            await _sleep(stop, loop.idle_s if outcome is Stepped.IDLE else AFTER_ERROR_S)


class Stepped(StrEnum):
    """What a step of a loop came to."""

    WORKED = "worked"
    IDLE = "idle"
    FAILED = "failed"


async def _step(step: Callable[[Services], Awaitable[bool]], services: Services) -> Stepped:
    try:
        return Stepped.WORKED if await step(services) else Stepped.IDLE
    except EXPECTED as error:
        # The outside is away for a while: the work is leased and comes back by itself.
        log.warning("%s: %s", type(error).__name__, error)
    except Exception:  # one item we choke on must not stop all others
        log.exception("unexpected; going on")
    return Stepped.FAILED


async def _sleep(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
