"""Items with a history, for replay to look at."""

from uuid import UUID, uuid4

import pytest

from infra.postgres.event_store import PostgresEventStore
from infra.postgres.pool import Pool
from tests.infra import lives
from tests.infra.replay.histories import ITEMS, own_job_ids


@pytest.fixture
async def items(pool: Pool) -> list[UUID]:
    """Items with different lives behind them."""
    media_ids = [uuid4() for _ in range(ITEMS)]
    store = PostgresEventStore(pool)
    chosen = list(lives.LIVES.values())
    for place, media_id in enumerate(media_ids):
        await lives.live(store, own_job_ids(chosen[place % len(chosen)], media_id), media_id)
    return media_ids
