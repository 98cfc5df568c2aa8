"""Fixtures of the embedded parts' tests."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.infra.embedded.receiver import Receiver


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A service's webhook endpoint."""
    receiver = Receiver()
    async with receiver.serving():
        yield receiver
