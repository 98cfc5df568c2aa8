"""What attempts came to and cost, summed up from the ledger: each event once, in a loop of `work`.

The figures could be counted from the events every time; but a history grows, and a scrape must not.
"""

from dataclasses import dataclass
from uuid import UUID

from infra.postgres.pool import Pool
from infra.postgres.queries import sql
from infra.settings_observed import STANDARD

BATCH = 5_000
"""Events, a few tens of milliseconds of work."""


@dataclass(frozen=True, slots=True)
class Tally:
    """The sums by tier, outcome and reason. Any number of processes may run it."""

    pool: Pool
    second_price: float
    """Of a GPU, in the operator's currency."""
    longest_run_s: float
    """What a failed attempt counts at most: RunPod ends every run after that time."""

    async def note_tier(self, media_id: UUID, tier: str) -> None:
        """Keep the tier of an item's creator; `standard`, which most have, is not kept.

        Beside the registration, not within it: of a process that dies in between, the item counts
        as standard.
        """
        if tier != STANDARD:
            await self.pool.execute(sql("note_tier"), media_id, tier)

    async def step(self) -> bool:
        """Sum up a batch; whether more may wait."""
        arguments = (BATCH, self.second_price, float(self.longest_run_s))
        summed: int = await self.pool.fetchval(sql("tally"), *arguments)
        return summed == BATCH
