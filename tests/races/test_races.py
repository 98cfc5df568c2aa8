"""Some rounds of every race. `python -m tests.races --rounds 1000` runs many and prints figures."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from infra.embedded.stack_secrets import StackSecrets
from tests.conftest import TEMPLATE, _new_database
from tests.parts import new_bucket, variables
from tests.races import rounds
from tests.races.arena import Arena, open_arena
from tests.races.rounds import RunRound
from tests.races.tally import run_rounds

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROUNDS = 20
SEED = 20261102


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def arena(
    server_dsn: str, s3_endpoint: str, stack_secrets: StackSecrets
) -> AsyncIterator[Arena]:
    """Replicas for all races: to open them takes longer than some rounds."""
    bucket = new_bucket(s3_endpoint)
    async with (
        _new_database(server_dsn, TEMPLATE) as dsn,
        open_arena(variables(dsn, s3_endpoint, bucket, stack_secrets), SEED) as opened,
    ):
        yield opened


async def race(arena: Arena, run: RunRound, number: int = ROUNDS) -> None:
    assert (await run_rounds(arena, run, number)).rounds == number


async def test_f18_of_many_retries_at_once_one_wins(arena: Arena) -> None:
    await race(arena, rounds.double_retry)


async def test_f23_many_completions_at_once_happen_once(arena: Arena) -> None:
    await race(arena, rounds.double_complete)


async def test_f06_a_report_delivered_many_times_at_once_happens_once(arena: Arena) -> None:
    await race(arena, rounds.duplicate_worker_webhook)


async def test_f06_a_hint_delivered_many_times_at_once_happens_once(arena: Arena) -> None:
    await race(arena, rounds.duplicate_native_webhook)


async def test_f20_resubmission_retry_and_report_at_once_leave_one_live_attempt(
    arena: Arena,
) -> None:
    await race(arena, rounds.resubmission)


async def test_f07_of_failure_and_success_at_once_the_first_stands(arena: Arena) -> None:
    await race(arena, rounds.failed_against_completed, ROUNDS // 2)


async def test_f37_loops_of_all_replicas_do_each_thing_once(arena: Arena) -> None:
    await race(arena, rounds.many_loops, ROUNDS // 4)
