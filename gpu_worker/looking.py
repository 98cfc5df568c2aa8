"""Looking now and then at what another program is writing, for as long as it does."""

import asyncio
from collections.abc import AsyncIterator

LOOK_EVERY_S = 0.5


async def looks(ended: asyncio.Event) -> AsyncIterator[None]:
    """One step now, one every half second, and a last one after `ended` is set."""
    last = False
    while not last:
        last = ended.is_set()
        yield
        if not last:
            try:
                await asyncio.wait_for(ended.wait(), LOOK_EVERY_S)
            except TimeoutError:
                continue
