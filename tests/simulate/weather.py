"""What goes wrong in a schedule, when, and how often; and that it stops."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.simulate.faults import Fault
from tests.simulate.machines import Machines
from tests.simulate.processes import now_s

if TYPE_CHECKING:
    from tests.simulate.service import Replica

LONG_S = 1200.0
"""An outage that long may cost an attempt its time."""
KINDS = (
    "database",
    "bucket",
    "worker-bucket",
    "runpod",
    "network",
    "crashes",
    "refusals",
    "machines",
    "encoder",
    "queue",
    "clocks",
    "rotation",
    "attackers",
    "full",
    "key",
    "decay",
)


@dataclass(slots=True)
class Weather(Machines):
    """Calm unless it is told to be otherwise."""

    kinds: frozenset[str] = frozenset()
    encoder_fails: float = 0.0
    result_lost: float = 0.0
    decays: float = 0.0
    """How often an object goes bad as soon as its manifest is written."""
    conversions: tuple[float, float] = (5.0, 90.0)
    outages_s: dict[str, float] = field(default_factory=dict)

    def draw(self) -> None:
        """Choose what this schedule suffers from: some kinds, each more or less."""
        chance = self.world.chance
        self.kinds = frozenset(kind for kind in KINDS if chance.happens(0.45))
        for name, line in self.world.lines.items():
            if name in self.kinds:
                line.rates = {fault: chance.choice((0.004, 0.02, 0.06)) for fault in Fault}
                if "crashes" not in self.kinds:
                    line.rates = {
                        fault: rate
                        for fault, rate in line.rates.items()
                        if fault not in {Fault.CRASH_BEFORE, Fault.CRASH_AFTER}
                    }
        if "network" in self.kinds:
            network = self.world.network
            network.lost_request, network.lost_answer = (
                chance.uniform(0, 0.3),
                chance.uniform(0, 0.3),
            )
            network.doubled, network.delayed = chance.uniform(0, 0.4), chance.uniform(0, 0.4)
        if "machines" in self.kinds:
            self.machine_dies, self.machine_freezes = chance.uniform(0, 0.8), chance.uniform(0, 0.6)
            self.runs_twice, self.result_lost = chance.uniform(0, 0.4), chance.choice((0, 0, 0.2))
        if "encoder" in self.kinds:
            self.encoder_fails = chance.uniform(0.1, 0.6)
        if "decay" in self.kinds:
            self.decays = chance.uniform(0.1, 0.5)
        if "clocks" in self.kinds:
            for host in self.world.hosts:
                host.skew_s = chance.uniform(-600, 600)
            self.world.bucket.skew_s = chance.uniform(-600, 600)
        self.world.runpod.cold_start_s = chance.choice((0.1, 5.0, 60.0))
        self.world.runpod.machines = chance.choice((1, 2, 4))

    def conversion_s(self) -> float:
        """How long the next conversion takes."""
        return self.world.chance.uniform(*self.conversions)

    def host_skew_s(self) -> float:
        """How far a new machine's clock is ahead."""
        if "clocks" in self.kinds and self.world.chance.happens(0.6):
            self.world.count("F30: a machine's clock is wrong")
            return self.world.chance.uniform(-600, 600)
        return 0.0

    def begin(self, length_s: float) -> None:
        """Let it all happen within the next `length_s` seconds."""
        chance = self.world.chance
        for kind in sorted(self.kinds):
            events = _EVENTS.get(kind)
            most = 6 if kind == "attackers" else 3
            for _ in range(chance.randint(1, most) if events else 0):
                at_s = chance.uniform(0, min(length_s, chance.choice((120.0, length_s))))
                self.world.outside.start(self._later(at_s, events, length_s))
        if self.world.restoring:
            self.world.outside.start(self._restore(length_s))

    async def _later(self, seconds: float, event: Any, length_s: float) -> None:
        await asyncio.sleep(seconds)
        await event(self, length_s - seconds)

    async def _cut(self, name: str, left_s: float, most_s: float) -> None:
        line, began_s = self.world.lines[name], now_s()
        self.world.note("weather", f"{name} is away")
        self.world.count(f"{name}: outage")
        line.cut = True
        await asyncio.sleep(min(left_s, self.world.chance.uniform(5, most_s)))
        line.cut = False
        self._outage(name, now_s() - began_s)

    def _outage(self, name: str, seconds: float) -> None:
        self.outages_s[name] = self.outages_s.get(name, 0.0) + seconds

    async def _database(self, left_s: float) -> None:
        await self._cut("database", left_s, 60)

    async def _bucket(self, left_s: float) -> None:
        await self._cut("bucket", left_s, 900)

    async def _worker_bucket(self, left_s: float) -> None:
        await self._cut("worker-bucket", left_s, 300)

    async def _runpod(self, left_s: float) -> None:
        long = self.world.chance.happens(0.15)
        if long:
            self.world.count("F38: RunPod down for long")
        await self._cut("runpod", left_s, 4500 if long else 600)

    async def _crash(self, _left_s: float) -> None:
        replica: Replica = self.world.chance.choice(self.world.replicas)
        self.world.crash(replica.life, "out of the blue")

    async def _refuse(self, _left_s: float) -> None:
        chance = self.world.chance
        statuses = (429, 429, 500, 503, 504, 504, 400)
        self.world.runpod.refusals.extend(chance.choices(statuses, k=chance.randint(1, 5)))

    async def _lose_a_job(self, _left_s: float) -> None:
        runpod = self.world.runpod
        if runpod.jobs:
            self.world.count("F14: RunPod lost a job")
            runpod.lose(self.world.chance.choice(list(runpod.jobs.values())))

    async def _rotate(self, left_s: float) -> None:
        """New secrets: first the service takes both, then those who sign use the new one."""
        self.world.count("F39: secrets rotated")
        secret = self.world.rotate()
        await asyncio.sleep(self.world.chance.uniform(0, left_s))
        self.world.worker_secret = secret

    async def _fill(self, left_s: float) -> None:
        self.world.count("F34: bucket full")
        self.world.bucket.full = True
        began_s = now_s()
        await asyncio.sleep(min(left_s, self.world.chance.uniform(10, 900)))
        self.world.bucket.full = False
        self._outage("full", now_s() - began_s)

    async def _refuse_key(self, left_s: float) -> None:
        self.world.count("F03: RunPod refuses the key")
        self.world.runpod.key_refused = True
        began_s = now_s()
        await asyncio.sleep(min(left_s, self.world.chance.uniform(10, 600)))
        self.world.runpod.key_refused = False
        self._outage("key", now_s() - began_s)

    async def _restore(self, length_s: float) -> None:
        chance = self.world.chance
        await asyncio.sleep(chance.uniform(0.1, 0.6) * length_s)
        taken_s, backup = now_s(), self.world.database.backup()
        await asyncio.sleep(chance.uniform(0.02, 0.3) * length_s)
        self.world.restore(backup, taken_s)

    def after_a_manifest(self, key: str, manifest: bytes) -> None:
        """The bucket may lose or damage what was just described."""
        if not self.world.chance.happens(self.decays):
            return
        told = json.loads(manifest)
        listed = self.world.chance.choice(told["objects"])["key"]
        self.world.count("F15: an object of a manifest went bad")
        self.world.note("bucket", f"{listed} of {key} went bad")
        self.world.excuse(told["mediaId"], told["attempt"], "decay")
        if self.world.chance.happens(0.5):
            self.world.bucket.objects.pop(listed, None)
        else:
            self.world.bucket.put(listed, b"damaged", "application/octet-stream")

    async def _attack(self, _left_s: float) -> None:
        await self.world.attackers.strike()

    def heal(self) -> None:
        """From now on nothing goes wrong any more."""
        world = self.world
        self.healed = True
        world.note("weather", "healed")
        for line in world.lines.values():
            line.cut, line.rates = False, {}
        network = world.network
        network.lost_request = network.lost_answer = network.doubled = network.delayed = 0.0
        self.encoder_fails = self.result_lost = self.decays = 0.0
        self.machine_dies = self.machine_freezes = self.runs_twice = 0.0
        world.bucket.full = world.runpod.key_refused = False
        world.runpod.refusals.clear()

    def lasted(self, name: str) -> bool:
        """Whether an outage of this kind lasted long."""
        return self.outages_s.get(name, 0.0) >= LONG_S


_EVENTS: dict[str, Any] = {
    "database": Weather._database,
    "bucket": Weather._bucket,
    "worker-bucket": Weather._worker_bucket,
    "runpod": Weather._runpod,
    "crashes": Weather._crash,
    "refusals": Weather._refuse,
    "queue": Weather._lose_a_job,
    "rotation": Weather._rotate,
    "attackers": Weather._attack,
    "full": Weather._fill,
    "key": Weather._refuse_key,
}
