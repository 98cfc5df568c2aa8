"""What the worlds of a test run share."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from infra.embedded.stack_secrets import StackSecrets
from tests.kill.host import hosting
from tests.kill.world import Parts, World, world


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def parts(
    server_dsn: str,
    s3_endpoint: str,
    stack_secrets: StackSecrets,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Parts]:
    """Servers and the process that starts processes."""
    folder = tmp_path_factory.mktemp("kill")
    async with hosting(folder) as host:
        yield Parts(host, server_dsn, s3_endpoint, stack_secrets, folder)


@pytest_asyncio.fixture(loop_scope="session")
async def made(parts: Parts) -> AsyncIterator[World]:
    """A world of this test's own, in which no process runs yet."""
    async with world(parts) as found:
        yield found
