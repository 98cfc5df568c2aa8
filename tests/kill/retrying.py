"""Sending a request again until somebody answers it, as every client of ours must."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import httpx

DELIVERY_LIMIT_S = 40.0
PAUSE_S = 0.1


async def until_answered(
    send: Callable[[], Awaitable[httpx.Response]], limit_s: float
) -> httpx.Response:
    """The first answer that is neither a broken connection nor 5xx, within `limit_s` seconds."""
    deadline = time.monotonic() + limit_s
    while True:
        trouble: object
        try:
            answer = await send()
        except httpx.TransportError as error:
            trouble = error
        else:
            if answer.status_code < 500:
                return answer
            trouble = answer.text
        if time.monotonic() > deadline:
            raise TimeoutError(f"nobody answered in {limit_s:g} s: {trouble}")
        await asyncio.sleep(PAUSE_S)
