"""What a seed does to the jobs of the RunPod stand-in: a plan, made without I/O.

Every decision is a hash of the seed, the kind of fault and the number of the attempt, job or call,
never of the time: the same seed does the same to the n-th attempt, however slow the machine.

Success stays possible. An attempt has two jobs at most (:data:`JOBS`), and what can cost a job
(:data:`COSTLY`) happens to the first alone. Every other fault ends after a few calls, or leaves
another way for the news to arrive: a lost webhook the poll, a lost callback the poll and the
bucket. Where a job cannot be asked about, because the answer with its id broke off or RunPod never
hears of its end, the callbacks that tell the end arrive.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self, TypeVar

Choice = TypeVar("Choice")
Place = tuple[int, int, *tuple[object, ...]]
"""The numbers of an attempt and of a job of it, and of what else."""


class Fault(StrEnum):
    """What can go wrong, as it is counted and reported."""

    RUN_REFUSED = "run_refused"
    """`/run` answers 429, 500 or 503 and queues nothing."""
    RUN_DROPPED = "run_dropped"
    """`/run` queues the job; the connection breaks before the answer is there."""
    RUN_LATE = "run_late"
    """`/run` queues the job and answers late."""
    JOB_VANISHED = "job_vanished"
    """The accepted job is never given to a worker; `/status` is 404."""
    JOB_FORGOTTEN = "job_forgotten"
    """The job runs, but `/status` is 404 from then on and its result is thrown away."""
    JOB_DOUBLED = "job_doubled"
    """Two workers get the job."""
    RESULT_REFUSED = "result_refused"
    """The worker's post of the result is answered 500."""
    STATUS_REFUSED = "status_refused"
    """`/status` answers 429 or 500."""
    STATUS_LATE = "status_late"
    """`/status` answers late."""
    STATUS_UNKNOWN = "status_unknown"
    """`/status` answers 404 once, for a job that is there."""
    WEBHOOK_LOST = "webhook_lost"
    WEBHOOK_REPEATED = "webhook_repeated"
    WEBHOOK_LATE = "webhook_late"
    """After others that ended later."""
    WEBHOOK_EARLY = "webhook_early"
    """A further one, before `/run` has answered."""
    CALLBACK_LOST = "callback_lost"
    """The worker's signed callback is answered 200 and never arrives."""
    CALLBACK_REPEATED = "callback_repeated"
    CALLBACK_LATE = "callback_late"
    CALLBACK_REFUSED = "callback_refused"
    """The worker is answered 500, whether the callback arrived or not."""


COSTLY = frozenset({Fault.JOB_VANISHED, Fault.JOB_FORGOTTEN, Fault.STATUS_UNKNOWN})
"""After any of these a job is lost, or looks so."""

ANSWERS = frozenset({Fault.RUN_DROPPED, Fault.RUN_LATE})
JOBS = 2
"""How many jobs an attempt may have; a call of `/run` whose answer broke off made one."""

MAX_REFUSALS = 2
"""Of each repeated call in a row: `/run`, `/status`, a callback."""
RESULT_TRIES = 3
"""How often the SDK posts a result (1.12.0) before it drops it."""
MAX_DELIVERIES = 3
FINAL_REPORTS = frozenset({"completed", "failed"})
AT_ONCE = (0.0,)

SEED = "CHAOS_SEED"
LONGEST_DELAY_S = "CHAOS_LONGEST_DELAY_S"
ONLY = "CHAOS_ONLY"


@dataclass(frozen=True)
class JobPlan:
    """What happens to one job of an attempt; delays in seconds."""

    refusals: tuple[int, ...] = ()
    """What `/run` answers before it accepts the job."""
    answer: Fault | None = None
    """RUN_DROPPED or RUN_LATE."""
    loss: Fault | None = None
    """JOB_VANISHED or JOB_FORGOTTEN."""
    doubled: bool = False
    result_refusals: int = 0
    status_faults: tuple[int | Fault, ...] = ()
    """What the first calls of `/status` get: 429, 500, STATUS_LATE or STATUS_UNKNOWN."""
    early_webhook: bool = False
    webhooks: tuple[float, ...] = AT_ONCE
    """When each native webhook is sent, after the job's end."""
    delay_s: float = 0.0
    """How late what is late comes, apart from webhooks and callbacks."""

    @property
    def result_dropped(self) -> bool:
        """Whether the job's end is never known to RunPod, so that only its callback tells."""
        return self.result_refusals >= RESULT_TRIES

    @property
    def webhook_fault(self) -> Fault | None:
        """What `webhooks` amounts to."""
        return _delivery_fault(self.webhooks, *WEBHOOK_FAULTS)


@dataclass(frozen=True)
class CallbackPlan:
    """What happens to one callback of a worker."""

    refusals: tuple[bool, ...] = ()
    """One for each of the first tries, answered 500: whether it is passed on all the same."""
    deliveries: tuple[float, ...] = AT_ONCE
    """When the try after those is passed on, in seconds from its arrival; never, if empty."""

    @property
    def delivery_fault(self) -> Fault | None:
        """What `deliveries` amounts to."""
        return _delivery_fault(self.deliveries, *CALLBACK_FAULTS)


WEBHOOK_FAULTS = (Fault.WEBHOOK_LOST, Fault.WEBHOOK_REPEATED, Fault.WEBHOOK_LATE)
CALLBACK_FAULTS = (Fault.CALLBACK_LOST, Fault.CALLBACK_REPEATED, Fault.CALLBACK_LATE)


def _delivery_fault(
    delays: tuple[float, ...], lost: Fault, repeated: Fault, late: Fault
) -> Fault | None:
    if delays == AT_ONCE:
        return None
    return (lost, late)[len(delays)] if len(delays) < 2 else repeated


@dataclass(frozen=True)
class ChaosPlan:
    """The plan of one seed. Attempts and an attempt's jobs are numbered from 0."""

    seed: int
    longest_delay_s: float = 2.0
    only: frozenset[Fault] = frozenset(Fault)
    """The kinds that happen at all."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """The plan that variables tell; KeyError or ValueError when one is missing or wrong."""
        only = frozenset(map(Fault, environ[ONLY].split()))
        return cls(int(environ[SEED]), float(environ[LONGEST_DELAY_S]), only)

    def to_environ(self) -> dict[str, str]:
        """The variables that tell this plan to another process."""
        only = " ".join(sorted(self.only))
        return {SEED: str(self.seed), LONGEST_DELAY_S: str(self.longest_delay_s), ONLY: only}

    def job(self, attempt: int, job: int) -> JobPlan:
        """What happens to the `job`-th job of an attempt."""
        at = (attempt, job)
        return JobPlan(
            refusals=self._statuses(Fault.RUN_REFUSED, 0.25, (429, 500, 503), at),
            answer=self._one_of((Fault.RUN_DROPPED, 0.15), (Fault.RUN_LATE, 0.15), at=at),
            loss=self._one_of((Fault.JOB_VANISHED, 0.1), (Fault.JOB_FORGOTTEN, 0.1), at=at),
            doubled=self._happens(Fault.JOB_DOUBLED, 0.15, at),
            result_refusals=self._count(Fault.RESULT_REFUSED, 0.2, RESULT_TRIES, at),
            status_faults=self._status_faults(at),
            early_webhook=self._happens(Fault.WEBHOOK_EARLY, 0.15, at),
            webhooks=self._deliveries(WEBHOOK_FAULTS, at),
            delay_s=self._delay_s("job", at),
        )

    def callback(self, attempt: int, job: int, report: str, number: int = 0) -> CallbackPlan:
        """What happens to the `number`-th of a job's callbacks that say `report`."""
        at = (attempt, job, report, number)
        count = self._count(Fault.CALLBACK_REFUSED, 0.2, MAX_REFUSALS, at)
        through = (self._share("through", *at, each) < 0.5 for each in range(count))
        deliveries = self._deliveries(CALLBACK_FAULTS, at)
        if report in FINAL_REPORTS and self._only_callbacks_tell(attempt, job):
            deliveries = AT_ONCE
        return CallbackPlan(tuple(through), deliveries)

    def _only_callbacks_tell(self, attempt: int, job: int) -> bool:
        jobs = [self.job(attempt, each) for each in range(JOBS)]
        # A late answer too: later than the caller waits, it is as good as broken off.
        return any(each.answer for each in jobs) or self.job(attempt, job).result_dropped

    def _status_faults(self, at: Place) -> tuple[int | Fault, ...]:
        faults: list[int | Fault] = list(self._statuses(Fault.STATUS_REFUSED, 0.2, (429, 500), at))
        for fault, chance in ((Fault.STATUS_LATE, 0.15), (Fault.STATUS_UNKNOWN, 0.1)):
            if self._happens(fault, chance, at):
                faults.append(fault)
        return tuple(sorted(faults, key=lambda fault: self._share("order", *at, fault)))

    def _deliveries(self, kinds: tuple[Fault, Fault, Fault], at: Place) -> tuple[float, ...]:
        lost, repeated, late = kinds
        match self._one_of((lost, 0.15), (repeated, 0.2), (late, 0.2), at=at):
            case None:
                return AT_ONCE
            case fault if fault is lost:
                return ()
            case fault if fault is late:
                return (self._delay_s(late, at),)
        count = 2 + int(self._share("deliveries", repeated, *at) * (MAX_DELIVERIES - 1))
        return (0.0, *(self._delay_s(f"{repeated} {each}", at) for each in range(1, count)))

    def _statuses(
        self, fault: Fault, chance: float, statuses: Sequence[int], at: Place
    ) -> tuple[int, ...]:
        count = self._count(fault, chance, MAX_REFUSALS, at)
        shares = (self._share("status", fault, *at, each) for each in range(count))
        return tuple(_pick(statuses, share) for share in shares)

    def _count(self, fault: Fault, chance: float, most: int, at: Place) -> int:
        """0, or with `chance` from 1 to `most`."""
        if not self._happens(fault, chance, at):
            return 0
        return 1 + int(self._share("count", fault, *at) * most)

    def _one_of(self, *faults: tuple[Fault, float], at: Place) -> Fault | None:
        """The first that happens, each with its own chance."""
        return next((fault for fault, chance in faults if self._happens(fault, chance, at)), None)

    def _happens(self, fault: Fault, chance: float, at: Place) -> bool:
        spared_from = 1 if fault in COSTLY else JOBS if fault in ANSWERS else None
        if spared_from is not None and at[1] >= spared_from:
            return False
        return fault in self.only and self._share(fault, *at) < chance

    def _delay_s(self, what: str, at: Place) -> float:
        """From a fifth of the longest delay to all of it."""
        return self.longest_delay_s * (0.2 + 0.8 * self._share("delay", what, *at))

    def _share(self, *what: object) -> float:
        """A number in [0, 1) that is the same for the same seed and `what`."""
        text = "/".join(map(str, (self.seed, *what)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) / 2**48


def _pick(choices: Sequence[Choice], share: float) -> Choice:
    return choices[int(share * len(choices))]
