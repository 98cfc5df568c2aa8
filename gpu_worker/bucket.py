"""The connection to R2, and what its errors mean. Any other S3 store will do."""

import logging
from contextlib import AbstractAsyncContextManager
from functools import lru_cache
from typing import TYPE_CHECKING

import aioboto3
import aiohttp
from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError, ClientError

from gpu_worker.contract import WorkerErrorCode
from gpu_worker.errors import JobFailed
from gpu_worker.settings import WorkerSettings

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

logger = logging.getLogger(__name__)

STORAGE_ERRORS = (ClientError, BotoCoreError, aiohttp.ClientError, TimeoutError)


def connect(settings: WorkerSettings) -> "AbstractAsyncContextManager[S3Client]":
    """An S3 client for R2; every call is bounded in time and tried up to five times."""
    secret = settings.r2_secret_access_key.get_secret_value()
    session = _session(settings.r2_access_key_id, secret, settings.r2_region)
    config = AioConfig(
        signature_version="s3v4",
        # R2 refuses the checksums botocore adds by default.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=10,
        read_timeout=60,
        retries={"mode": "standard", "total_max_attempts": 5},
        max_pool_connections=settings.upload_connections + 2,
        s3={"addressing_style": "path"},
    )
    return session.client("s3", endpoint_url=settings.r2_endpoint, config=config)


@lru_cache(maxsize=4)
def _session(key_id: str, secret: str, region: str) -> aioboto3.Session:
    """Kept, for a new one reads botocore's whole description of S3 anew."""
    return aioboto3.Session(
        aws_access_key_id=key_id, aws_secret_access_key=secret, region_name=region
    )


def code_of(error: Exception) -> str | None:
    """The S3 error code of a refusal; None when the store did not answer at all."""
    return error.response["Error"].get("Code") if isinstance(error, ClientError) else None


def unavailable(error: BaseException) -> JobFailed:
    """`storage_unavailable`. What the store said is logged: it may name hosts and keys."""
    logger.warning("bucket: %s: %s", type(error).__name__, error)
    return JobFailed(
        WorkerErrorCode.STORAGE_UNAVAILABLE,
        "Our file storage could not be reached; a retry may help.",
        type(error).__name__,
    )
