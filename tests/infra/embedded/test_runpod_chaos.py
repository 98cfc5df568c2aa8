"""What a seed plans: the same each time, everything in the end, and never too much."""

from itertools import product

import pytest

from infra.embedded.runpod_chaos import (
    AT_ONCE,
    COSTLY,
    FINAL_REPORTS,
    MAX_DELIVERIES,
    MAX_REFUSALS,
    RESULT_TRIES,
    CallbackPlan,
    ChaosPlan,
    Fault,
    JobPlan,
)

SEEDS = range(12)
ATTEMPTS = range(50)
REPORTS = ("started", "progress", "completed", "failed")
EVERY_JOB = list(product(SEEDS, ATTEMPTS, (0, 1)))
OF_SEED_7 = [
    JobPlan(early_webhook=True, webhooks=(), delay_s=0.31437008409564415),
    JobPlan(refusals=(500, 500), delay_s=0.8549771671453897),
    JobPlan(
        result_refusals=3,
        webhooks=(0.0, 0.6077606966908136, 1.3773113761859053),
        delay_s=1.2496409513929252,
    ),
]


def faults_of(plan: JobPlan) -> set[Fault]:
    there = {
        Fault.RUN_REFUSED: plan.refusals,
        Fault.JOB_DOUBLED: plan.doubled,
        Fault.RESULT_REFUSED: plan.result_refusals,
        Fault.STATUS_REFUSED: {429, 500} & set(plan.status_faults),
        Fault.STATUS_LATE: Fault.STATUS_LATE in plan.status_faults,
        Fault.STATUS_UNKNOWN: Fault.STATUS_UNKNOWN in plan.status_faults,
        Fault.WEBHOOK_EARLY: plan.early_webhook,
    }
    single = {plan.answer, plan.loss, plan.webhook_fault}
    return {fault for fault, planned in there.items() if planned} | (single - {None})


def faults_of_callback(plan: CallbackPlan) -> set[Fault]:
    refused = {Fault.CALLBACK_REFUSED} if plan.refusals else set()
    return refused | ({plan.delivery_fault} - {None})


def faults_of_attempt(plan: ChaosPlan, attempt: int) -> set[Fault]:
    found: set[Fault] = set()
    for job in (0, 1):
        found |= faults_of(plan.job(attempt, job))
        for report in REPORTS:
            found |= faults_of_callback(plan.callback(attempt, job, report))
    return found


def test_a_seed_plans_the_same_in_every_process_and_version() -> None:
    told = ChaosPlan.from_environ(ChaosPlan(7, 1.5, frozenset(Fault)).to_environ())

    assert told == ChaosPlan(7, 1.5, frozenset(Fault))
    assert [told.job(attempt, 0) for attempt in range(3)] == OF_SEED_7


def test_two_seeds_plan_differently() -> None:
    plans = [[ChaosPlan(seed).job(attempt, 0) for attempt in ATTEMPTS] for seed in (1, 2)]

    assert plans[0] != plans[1]


@pytest.mark.parametrize("seed", [1, 7, 42])
def test_fifty_uploads_meet_nearly_every_kind_of_fault(seed: int) -> None:
    plan = ChaosPlan(seed)

    met = set.union(*(faults_of_attempt(plan, attempt) for attempt in ATTEMPTS))

    assert len(Fault) - len(met) <= 1


def test_there_is_a_seed_for_every_kind_of_fault() -> None:
    met = {fault for seed in range(60) for fault in faults_of_attempt(ChaosPlan(seed), 0)}

    assert met == set(Fault)


def test_only_the_first_job_of_an_attempt_can_be_lost() -> None:
    spoilt = {
        job: {
            fault
            for seed, attempt, at in EVERY_JOB
            if at == job
            for fault in faults_of(ChaosPlan(seed).job(attempt, job)) & COSTLY
        }
        for job in (0, 1)
    }

    assert spoilt == {0: COSTLY, 1: set()}


def test_no_answer_breaks_off_after_the_two_that_an_attempt_may_have() -> None:
    answers = {
        job: {ChaosPlan(seed).job(attempt, job).answer for seed in SEEDS for attempt in ATTEMPTS}
        for job in (0, 1, 2)
    }

    assert answers[0] == answers[1] == {None, Fault.RUN_DROPPED, Fault.RUN_LATE}
    assert answers[2] == {None}


def test_every_repeated_fault_ends() -> None:
    for seed, attempt, number in EVERY_JOB:
        plan = ChaosPlan(seed, longest_delay_s=3.0).job(attempt, number)
        assert len(plan.refusals) <= MAX_REFUSALS
        assert set(plan.refusals) <= {429, 500, 503}
        assert len(plan.status_faults) <= MAX_REFUSALS + 2
        assert plan.status_faults.count(Fault.STATUS_UNKNOWN) <= 1
        assert plan.result_refusals <= RESULT_TRIES
        assert len(plan.webhooks) <= MAX_DELIVERIES
        assert all(0 <= delay_s <= 3.0 for delay_s in (*plan.webhooks, plan.delay_s))


def test_every_callback_is_answered_yes_in_the_end() -> None:
    for (seed, attempt, job), report in product(EVERY_JOB, REPORTS):
        plan = ChaosPlan(seed, longest_delay_s=3.0).callback(attempt, job, report)
        assert len(plan.refusals) <= MAX_REFUSALS
        assert len(plan.deliveries) <= MAX_DELIVERIES
        assert all(0 <= delay_s <= 3.0 for delay_s in plan.deliveries)


def test_every_attempt_has_a_job_that_runs_to_its_end_and_a_way_to_tell_of_it() -> None:
    for seed, attempt in product(SEEDS, ATTEMPTS):
        plan = ChaosPlan(seed)
        jobs = [plan.job(attempt, number) for number in (0, 1)]
        running = next(each for each in (0, 1) if jobs[each].loss is not Fault.JOB_VANISHED)
        # Asked, RunPod tells of the end or knows no such job: the bucket is looked at either way.
        ids_known = all(each.answer is None for each in jobs)
        asking_tells = ids_known and not jobs[running].result_dropped
        callbacks = [plan.callback(attempt, running, report) for report in FINAL_REPORTS]
        assert asking_tells or all(each.deliveries == AT_ONCE for each in callbacks)


def test_a_plan_of_some_kinds_has_no_others() -> None:
    only = frozenset({Fault.RUN_DROPPED, Fault.CALLBACK_LATE})

    met = {fault for seed in SEEDS for fault in faults_of_attempt(ChaosPlan(seed, only=only), 0)}

    assert met == only
