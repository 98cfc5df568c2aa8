"""While secrets are rotated, what was signed with the older one still counts."""

import base64
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from botocore.client import BaseClient
from pydantic import SecretStr

from infra.settings import Settings
from tests.api.gpu import failure
from tests.api.service import running
from tests.api.studio import Studio

pytestmark = pytest.mark.asyncio(loop_scope="session")


def new_webhook_secret(letter: bytes) -> str:
    """A secret that is easy to tell from others."""
    return f"whsec_{base64.b64encode(letter * 32).decode()}"


NEW, OLD, GONE = (new_webhook_secret(letter) for letter in (b"n", b"o", b"g"))


@pytest_asyncio.fixture(loop_scope="session")
async def studio(shared_settings: Settings, s3: BaseClient) -> AsyncIterator[Studio]:
    """A creator of a service that knows two secrets."""
    rotating = shared_settings.model_copy(update={"webhook_secrets": SecretStr(f"{NEW} {OLD}")})
    async with running(rotating) as service:
        yield Studio(service, s3, "rotating")


@pytest.mark.parametrize(("secret", "status"), [(NEW, 200), (OLD, 200), (GONE, 401)])
async def test_f39_new_and_old_secrets_are_taken(studio: Studio, secret: str, status: int) -> None:
    job = await studio.transcoding()

    answer = await studio.gpu.deliver(failure(job).to_json().encode(), secret=secret)

    assert answer.status_code == status
