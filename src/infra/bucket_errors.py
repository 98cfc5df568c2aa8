"""What the bucket's client raises, as the domain knows it."""

from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError

from domain.errors import StorageUnavailable


@contextmanager
def translated() -> Iterator[None]:
    """Raise `StorageUnavailable` for whatever the client raises."""
    try:
        yield
    except ClientError as error:
        raise StorageUnavailable(f"the bucket answered {code_of(error)}") from error
    except (BotoCoreError, aiohttp.ClientError, OSError, TimeoutError) as error:
        raise StorageUnavailable(f"the bucket did not answer: {type(error).__name__}") from error


def code_of(error: ClientError) -> str:
    """The bucket's own code."""
    return error.response.get("Error", {}).get("Code", "unknown")
