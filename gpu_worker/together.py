"""Several things at once, of which each is needed."""

import asyncio
from collections.abc import Coroutine


async def together(*works: Coroutine[object, object, None]) -> None:
    """Do all of it. What fails first is raised, after the others have ended, cancelled."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
