"""One schedule: everything in it, its two phases, and what came of it."""

import asyncio
import base64
import hashlib
import random
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from domain.media import MediaItem
from infra.settings import CapabilityKey
from tests import fakes
from tests.simulate import invariants
from tests.simulate.attackers import Attackers, kept
from tests.simulate.bucket import Bucket
from tests.simulate.chance import Chance, determined
from tests.simulate.creators import Item, Plan
from tests.simulate.database import Alarm, Database
from tests.simulate.faults import Fault, Line, Scripted
from tests.simulate.journal import Journal, listening
from tests.simulate.network import Network
from tests.simulate.processes import Host, Life, now_s
from tests.simulate.runpod import Runpod
from tests.simulate.service import ATTEMPT_WINDOW, UPLOAD_WINDOW, Replica
from tests.simulate.virtual_loop import Deadlock, VirtualLoop
from tests.simulate.watch import Watch
from tests.simulate.weather import Weather
from tests.simulate.worker import CallbackClient, connect

LINES = ("database", "bucket", "worker-bucket", "creator-bucket", "runpod")
LOOK_S, AGAIN_S = 120.0, 31.0
ERASED_SHARE = 0.1
QUIET_LOOKS = 2
"""In a row: a message that is under way at the first will have come by the second."""
BOUND_S = 3 * max(UPLOAD_WINDOW, ATTEMPT_WINDOW).total_seconds() + 3 * 3600


class Broken(AssertionError):
    """Invariants do not hold; the text has the seed and how to replay it."""

    def __init__(self, text: str, invariants: set[str]) -> None:
        super().__init__(text)
        self.invariants = invariants


class _WatchedStore(fakes.MemoryEventStore):
    """The event store in memory, watched."""

    def __init__(self, database: Database, watch: Watch) -> None:
        super().__init__(database)
        object.__setattr__(self, "watch", watch)

    async def append(self, media_id: UUID, *args: Any, **given: Any) -> Any:
        appended = await super().append(media_id, *args, **given)
        self.watch.appended(media_id)  # type: ignore[attr-defined]
        return appended


class World:
    """Everything there is in a schedule. Calm until `weather` is drawn."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = Chance(seed)
        self.counts: Counter[str] = Counter()
        self.journal = Journal()
        self.broken: list[tuple[str, str]] = []
        self.excuses: Counter[tuple[str, int, str]] = Counter()
        self.secrets: set[str] = set()
        self.script: list[Scripted] = []
        self.restores: list[tuple[float, float]] = []
        """Of each: when its backup was taken, and when it was put in place."""
        self.restoring = False
        self.items: list[Item] = []
        self.items_by_id: dict[UUID, Item] = {}
        self.captured: list[tuple[str, bytes]] = []
        self.captured_callbacks: list[tuple[dict[str, str], bytes]] = []
        self._secrets_made = 0
        first = self._new_secret()
        self.worker_secret = first
        self.settings = SimpleNamespace(
            webhook_keys=(first,),
            capability_keys=(self._new_key(),),
            public_app_url="https://media.example",
            runpod_endpoint_id="ep",
            execution_timeout_s=1200,
        )
        self.hosts: list[Host] = []
        self.lines = {name: Line(self, name) for name in LINES}
        self.bucket = Bucket()
        self.database = Database()
        self.alarm = Alarm(self.database, self.chance)
        self.watch = Watch(self)
        self.store = _WatchedStore(self.database, self.watch)
        self.evidence = fakes.MemoryEvidence()
        self.network = Network(self)
        self.runpod = Runpod(self)
        self.weather = Weather(self)
        self.attackers = Attackers(self)
        self.outside = Life(Host("outside"))
        self.replicas: list[Replica] = []

    def build(self, apis: int = 1, workers: int = 1, both: int = 0) -> None:
        """The service's replicas."""
        kinds = [(True, False)] * apis + [(False, True)] * workers + [(True, True)] * both
        for number, (serves, works) in enumerate(kinds):
            self.replicas.append(Replica(self, self.host(f"replica-{number}"), serves, works))

    def draw(self) -> None:
        """Choose a whole schedule from the seed."""
        chance = self.chance
        self.build(*chance.choice(((1, 1, 0), (1, 1, 0), (2, 1, 0), (1, 2, 0), (0, 0, 2))))
        self.weather.draw()
        self.restoring = chance.happens(0.05)
        own = random.Random(f"{self.seed}/erasures")  # noqa: S311 - so that others stay as they were
        plans = (Plan.GOOD,) * 6 + (Plan.BROKEN, Plan.NEVER, Plan.WRONG_SIZE, Plan.SILENT)
        for number in range(chance.choice((1, 1, 1, 1, 2, 2, 3))):
            self.items.append(
                Item(
                    self,
                    creator=f"creator-{number % 2}",
                    number=number,
                    plan=chance.choice(plans),
                    video=chance.happens(0.7),
                    retries=chance.happens(0.6),
                    hasty=chance.happens(0.3),
                    starts_s=chance.uniform(0, 60),
                    erases_after_s=self._erases_after_s(own),
                )
            )

    def _erases_after_s(self, own: random.Random) -> float | None:
        """A restored backup has erased items back, and an operator erases them again: none here."""
        after_s = own.choice((5.0, 60.0, 300.0, 900.0)) * own.random()
        return after_s if own.random() < ERASED_SHARE and not self.restoring else None

    def host(self, name: str) -> Host:
        """A new machine."""
        host = Host(name, self.weather.host_skew_s() if name.startswith("gpu") else 0.0)
        self.hosts.append(host)
        return host

    def note(self, kind: str, text: str) -> None:
        """Something that happened, for the trace."""
        self.journal.note(now_s(), kind, text)

    def count(self, what: str) -> None:
        """Something that happened, for the statistics."""
        self.counts[what] += 1

    def breaks(self, invariant: str, what: str) -> None:
        """An invariant does not hold."""
        self.note("BROKEN", f"{invariant}: {what}")
        self.broken.append((invariant, what))

    def excuse(self, media_id: UUID | str, attempt: int, why: str) -> None:
        """What befell an attempt that may justify its failure."""
        self.excuses[str(media_id), attempt, why] += 1

    def secret(self, text: str) -> str:
        """A secret that nobody may find in a log, an event or an error."""
        self.secrets.add(text)
        return text

    def _new_secret(self) -> str:
        self._secrets_made += 1
        digest = hashlib.sha256(f"{self.seed}/{self._secrets_made}".encode()).digest()
        return self.secret(f"whsec_{base64.b64encode(digest).decode()}")

    def _new_key(self) -> CapabilityKey:
        self._secrets_made += 1
        digest = hashlib.sha256(f"{self.seed}/{self._secrets_made}".encode()).digest()
        self.secret(base64.b64encode(digest).decode())
        return CapabilityKey(f"k{self._secrets_made}", digest)

    def rotate(self) -> str:
        """The service takes new secrets beside the old ones, and signs tokens with the new."""
        secret = self._new_secret()
        self.settings.webhook_keys = (secret, *self.settings.webhook_keys)
        self.settings.capability_keys = (self._new_key(), *self.settings.capability_keys)
        return secret

    def scripted_fault(self, line: str, what: str) -> Fault | None:
        """The fault that a test wants at this call."""
        for wanted in self.script:
            if wanted.line == line and wanted.what in {what, "any"}:
                self.script.remove(wanted)
                return wanted.fault
        return None

    def crash(self, life: Life, why: str) -> None:
        """End a process at once; a replica comes back after a while."""
        if life.over or life is self.outside:
            return
        self.count("crash of a process")
        self.note("crash", f"{life.host.name}: {why}")
        life.end()
        for replica in self.replicas:
            if replica.life is life:
                self.outside.start(self._come_back(replica))

    async def _come_back(self, replica: Replica) -> None:
        await asyncio.sleep(self.chance.uniform(0.5, 60))
        if replica.life.over:
            replica.start()
            self.note("start", replica.host.name)

    def restore(self, backup: dict[str, Any], taken_s: float) -> None:
        """Put a backup in the database's place; every replica starts anew."""
        self.count("F41: a backup restored")
        self.note("restore", f"of {taken_s:.0f} s")
        self.restores.append((taken_s, now_s()))
        for replica in self.replicas:
            self.crash(replica.life, "restore")
        self.database.restore(backup)
        self.watch.folded.clear()
        self.watch.acknowledged = kept(self.watch.acknowledged, taken_s)

    def item(self, media_id: UUID) -> MediaItem | None:
        """The item as its history makes it."""
        return self.watch.item(media_id)

    def is_quiet(self) -> bool:
        """Whether nothing is left to do for anybody."""
        creators_done = all(item.done for item in self.items)
        return creators_done and self.runpod.busy == 0 and not invariants.left_to_do(self)

    async def run(self, fault_s: float) -> None:
        """The whole schedule: `fault_s` seconds of weather, then until everything has ended."""
        for replica in self.replicas:
            replica.start()
        for item in self.items:
            self.outside.start(item.live())
        self.weather.begin(fault_s)
        await asyncio.sleep(fault_s)
        self.weather.heal()
        await self.settle()

    async def settle(self) -> None:
        """Wait until nothing is left to do, then look at everything."""
        end_s, quiet = now_s() + BOUND_S, 0
        while quiet < QUIET_LOOKS and not self.broken and now_s() < end_s:
            await asyncio.sleep(AGAIN_S if quiet else LOOK_S)
            quiet = quiet + 1 if self.is_quiet() else 0
        await invariants.check(self)

    def simulate(self, what: Callable[[], Any]) -> None:
        """Run a coroutine function in this world's time. Raises `Broken`."""
        loop = VirtualLoop()
        with determined(self.chance, CallbackClient, connect), listening(self.journal):
            try:
                loop.run_until_complete(what())
            except Deadlock as deadlock:
                self.breaks("convergence", str(deadlock))
            finally:
                self._end_all()
                loop.close()
        if self.broken:
            raise Broken(self.failure(), {invariant for invariant, _ in self.broken})

    def _end_all(self) -> None:
        for life in (self.outside, self.runpod.life, *(one.life for one in self.replicas)):
            life.over = True
        for job in self.runpod.jobs.values():
            for life in job.runs:
                life.over = True

    def forget(self) -> None:
        """Let go of everything, so that nothing need look for cycles."""
        self.__dict__.clear()

    def failure(self) -> str:
        """What is broken, and how to see it again."""
        first = "\n".join(f"  {invariant}: {what}" for invariant, what in self.broken[:5])
        replay = f"python -m tests.simulate --seed {self.seed} --trace"
        return f"seed {self.seed} breaks\n{first}\nreplay: {replay}"


def simulate(seed: int, world: World | None = None) -> World:
    """The schedule of a seed (in `world`, which is new). Raises `Broken`."""
    world = world or World(seed)
    world.draw()
    fault_s = world.chance.choice((*(150.0, 300.0, 600.0) * 6, 1500.0, 3600.0))
    world.simulate(lambda: world.run(fault_s))
    return world
