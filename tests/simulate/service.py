"""Replicas of the service: what each is made of, its loops, and its HTTP edge without HTTP."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from api import webhooks
from api.problems import STATUSES, ApiError
from domain.errors import DomainError, StorageUnavailable, StoreInterrupted, TranscoderError
from domain.use_cases import Dispatch, Erasure, Outcomes, Reports, Uploads
from infra import loops
from infra.bootstrap import Services
from infra.claims import BucketClaims
from infra.inbox import MessageDesk, own_keys
from infra.object_storage import S3ObjectStorage
from infra.output_gate import BucketOutputGate
from infra.postgres.pool import UNAVAILABLE
from infra.runpod_transcoder import RunpodTranscoder
from tests import fakes
from tests.simulate.bucket import S3Client
from tests.simulate.faults import Port
from tests.simulate.processes import Host, Life
from tests.simulate.runpod import ApiClient

if TYPE_CHECKING:
    from tests.simulate.world import World

UPLOAD_WINDOW = timedelta(hours=1)
ATTEMPT_WINDOW = timedelta(hours=1)
EXECUTION_TIMEOUT_S = 1200
UNKNOWN_WAIT_S = 120.0
MAX_BYTES = 1000
LAST_POLL = timedelta(minutes=2)
LINGER = ATTEMPT_WINDOW + timedelta(minutes=5)

log = logging.getLogger(__name__)


def _database_error(method: str) -> Exception:
    if method == "append":
        return StoreInterrupted("the connection broke")
    return ConnectionResetError("the database went away")


def compose(world: "World", life: Life) -> Services:
    """The services of one process, as `infra.bootstrap` composes them, over lines that fail."""
    database, line = world.database, world.lines["database"]

    def port(target: Any) -> Any:
        return Port(line, life, target, _database_error)

    settings: Any = world.settings
    storage = S3ObjectStorage(
        cast("Any", S3Client(world, world.lines["bucket"], life)), "media", 3600
    )
    transcoder = RunpodTranscoder(
        cast("Any", ApiClient(world, world.lines["runpod"], life)), settings
    )
    store, outbox = port(world.store), port(fakes.MemoryOutbox(database))
    watchlist = port(fakes.MemoryWatchlist(database, last=LAST_POLL))
    breakers, evidence = port(fakes.MemoryBreakers(database)), port(world.evidence)
    claims, gate = BucketClaims(storage), BucketOutputGate(storage)
    dispatch = Dispatch(store, transcoder, outbox, claims, breakers, ATTEMPT_WINDOW, UNKNOWN_WAIT_S)
    outcomes = Outcomes(store, transcoder, gate, claims, outbox, watchlist, breakers, evidence)
    return cast(
        "Services",
        SimpleNamespace(
            settings=settings,
            store=store,
            storage=storage,
            transcoder=transcoder,
            outbox=outbox,
            watchlist=watchlist,
            breakers=breakers,
            deadlines=port(fakes.MemoryDeadlines(database)),
            desk=MessageDesk(port(fakes.MemoryInbox(database)), Reports(outcomes, own_keys)),
            dispatch=dispatch,
            outcomes=outcomes,
            uploads=Uploads(store, storage, dispatch, MAX_BYTES, UPLOAD_WINDOW),
            erasure=Erasure(
                store,
                transcoder,
                port(fakes.MemoryErasures(database)),
                storage.of_items(),
                LINGER,
            ),
        ),
    )


class _Nudge:
    """What a loop takes for its stop signal: never set, and it wakes it when there is work."""

    def __init__(self, world: "World", name: str, idle_s: float) -> None:
        self._world, self._name, self._idle_s = world, name, idle_s

    def is_set(self) -> bool:
        return False

    async def wait(self) -> None:
        await self._world.alarm.wait(self._name, self._idle_s)


RUN = {
    "dispatcher": 1.0,
    "inbox": 1.0,
    "reconciler": 1.0,
    "prober": 1.0,
    "sweeper": 15.0,
    "eraser": 1.0,
}
"""The loops that are simulated, and how long each sleeps at most when it found nothing."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: its status, what it says, and when it was given."""

    status: int
    said: Any = None
    at_s: float = field(default=0.0, compare=False)


Handler = Callable[[Services, Host], Awaitable[Any]]


@dataclass(eq=False, slots=True)
class Replica:
    """A process of the service: the API, the loops, or both. It may die and come back."""

    world: "World"
    host: Host
    serves: bool
    works: bool
    life: Life = field(init=False)
    services: Services = field(init=False)

    def start(self) -> None:
        """Begin a life."""
        self.life = Life(self.host)
        self.services = compose(self.world, self.life)
        for loop in loops.LOOPS if self.works else ():
            if loop.name in RUN:
                nudge: Any = _Nudge(self.world, loop.name, RUN[loop.name])
                step = getattr(
                    loops, loop.step.__name__
                )  # As it is now: a test may have broken it.
                turned = loops.Loop(loop.name, step, 1e9)
                self.life.start(loops._loop(turned, self.services, nudge, loops.Pulse()))

    async def answer(self, handler: Handler) -> Answer:
        """What the API answers."""
        try:
            return Answer(200, await handler(self.services, self.host))
        except ApiError as error:
            return Answer(error.status, error.code)
        except DomainError as error:
            kind = next(kind for kind in type(error).__mro__ if kind in STATUSES)
            return Answer(STATUSES[kind].status, error.code)
        except (StorageUnavailable, StoreInterrupted, TranscoderError, *UNAVAILABLE) as error:
            log.warning("503: %s: %s", type(error).__name__, error)
            return Answer(503)
        except Exception:
            log.exception("500: unexpected")
            return Answer(500)


async def worker_webhook(
    services: Services, host: Host, headers: dict[str, str], body: bytes
) -> str:
    """`POST /api/transcoding/webhook`."""
    return await webhooks.from_worker(services, headers, body, host.time())


async def native_webhook(services: Services, host: Host, token: str, body: bytes) -> str:
    """`POST /api/transcoding/webhook/{token}`."""
    return await webhooks.from_runpod(
        services, webhooks.bearer_of(services, token, host.time()), body
    )
