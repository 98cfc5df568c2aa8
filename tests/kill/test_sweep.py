"""`kill -9` at a fixed part of the fault points: some of each process, of each kind.

All of them, by hand: `python -m tests.kill`.
"""

import pytest

from infra.postgres.queries import statements
from tests.kill.sweep import Struck, Target, rehearse, sweep
from tests.kill.world import Parts

pytestmark = pytest.mark.asyncio(loop_scope="session")

AT_ONCE = 3
NO_LIFE_LEADS_THERE = {
    # `codex-media replay`, which an operator runs
    "count_streams",
    "drop_rows_without_events",
    "forget_rebuilt",
    "lock_heads",
    "mend_rows",
    "on_pages",
    "rebuild_items",
    "rebuilt_otherwise",
    "stream_pages",
    # streams of status, and an answer that nothing changed: they change nothing
    "changes",
    "changes_of",
    "item_state",
    "progress_of",
    "progress_of_creators",
    "act_for",
    # a message that an auditor asks for
    "find_evidence",
    # of creators of another tier than most
    "note_tier",
    # where quotas are set
    "reserve_upload",
    # tests
    "transitions",
    # an append whose connection broke: tests/faults
    "appended_before",
    # an attempt that ended while it was leased for sending
    "drop_dispatch",
    # a job that is asked about just as its attempt ends
    "close_job",
    # a job that was given up, and is found at work by its claim
    "reopen_job",
    # a bucket that refuses the eraser, and items that nobody keeps for ever
    "postpone_erasure",
    "overage",
}


async def test_every_statement_that_a_life_needs_is_a_point_of_the_sweep(parts: Parts) -> None:
    points = await rehearse(parts)
    reached = {point.partition("/sql.")[2] for of_role in points.values() for point in of_role} - {
        ""
    }
    assert set(statements()) - reached <= NO_LIFE_LEADS_THERE


def all_recovered(struck: list[Struck]) -> None:
    """Every process died where it should, and everything went on from there."""
    trouble = [each for each in struck if each.trouble or not each.killed]
    assert not trouble, "\n".join(map(str, trouble))


async def test_f01_an_attempt_whose_call_was_not_made_is_sent_by_somebody_else(
    parts: Parts,
) -> None:
    chosen = [
        Target("api", "complete_upload/sql.take_dispatch_of"),
        Target("work", "dispatcher/sql.begin_call"),
    ]
    all_recovered(await sweep(parts, chosen, AT_ONCE))


async def test_f04_a_job_whose_id_was_not_stored_is_found_and_no_third_one_is_made(
    parts: Parts,
) -> None:
    chosen = [
        Target("api", "complete_upload/runpod.run.after"),
        Target("work", "dispatcher/runpod.run.after"),
    ]
    all_recovered(await sweep(parts, chosen, AT_ONCE))


async def test_f26_f36_what_was_committed_or_answered_is_never_lost(parts: Parts) -> None:
    chosen = [
        Target("api", "complete_upload/answer"),
        Target("api", "worker_webhook/sql.append:2"),
        Target("api", "runpod_webhook/answer"),
    ]
    all_recovered(await sweep(parts, chosen, AT_ONCE))


async def test_the_loops_take_up_what_a_dead_one_held(parts: Parts) -> None:
    chosen = [
        Target("work", "reconciler/sql.add_dispatch"),
        Target("work", "sweeper/sql.append"),
        Target("work", "sealer/sql.notify_ledger"),
    ]
    all_recovered(await sweep(parts, chosen, AT_ONCE))
