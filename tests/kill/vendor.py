"""RunPod's stand-in in this very process, so that it can be asked what it was asked."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.responses import Response

from infra.embedded.ports import free_port
from infra.embedded.runpod_local import ENDPOINT_ID, RunpodEndpoint
from infra.embedded.runpod_queue import QueueLimits, RunRequest
from infra.embedded.runpod_stand_in import StandIn, StandInSettings, problem

BUSY = "busy"
"""In a file's name: RunPod answers 503 to the first calls for it, one by each process."""
BUSY_CALLS = 2
UNHEARD = "unheard"
"""RunPod queues the first job for it, and the answer is lost behind a gateway."""
Attempt = tuple[str, int]
"""Media id and number."""


class Vendor(StandIn):
    """Counts the calls of `/run`, by attempt."""

    def __init__(self, settings: StandInSettings) -> None:
        super().__init__(settings)
        self.calls: Counter[Attempt] = Counter()
        """Those that queued a job."""
        self.refused: Counter[Attempt] = Counter()

    async def accept(self, wanted: RunRequest) -> Response:
        """Queue the job, unless RunPod is to be busy."""
        if wanted.input.get("assist"):
            return await super().accept(wanted)
        attempt = (str(wanted.input["mediaId"]), int(str(wanted.input["attempt"])))
        if BUSY in str(wanted.input["inputKey"]) and self.refused[attempt] < BUSY_CALLS:
            self.refused[attempt] += 1
            return problem(503, "busy")
        self.calls[attempt] += 1
        answer = await super().accept(wanted)
        lost = UNHEARD in str(wanted.input["inputKey"]) and self.calls[attempt] == 1
        return problem(504, "gateway timeout") if lost else answer


@asynccontextmanager
async def vending(
    api_key: str, worker_silence_s: float
) -> AsyncIterator[tuple[Vendor, RunpodEndpoint]]:
    """A vendor of its own, with short times."""
    port = free_port()
    limits = QueueLimits(worker_silence_s=worker_silence_s)
    vendor = Vendor(
        StandInSettings(api_key, ENDPOINT_ID, port, hold_s=1.0, webhook_retry_s=0.3, limits=limits)
    )
    server = _Quiet(
        uvicorn.Config(
            vendor.app(), port=port, log_config=None, access_log=False, timeout_graceful_shutdown=1
        )
    )
    serving = asyncio.create_task(server.serve(), name="vendor")
    try:
        async with asyncio.timeout(10):
            while not server.started:  # noqa: ASYNC110 - it has no event to wait for
                await asyncio.sleep(0.01)
        yield vendor, RunpodEndpoint(f"http://127.0.0.1:{port}", api_key)
    finally:
        server.should_exit = True
        await serving


class _Quiet(uvicorn.Server):
    """Leaves the signals of this process alone."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """No signal is captured."""
        yield
