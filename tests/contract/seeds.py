"""Items in every state, for calls to name: without them, nearly every id would be of no item."""

import json
import time
from typing import Any
from uuid import UUID

import boto3

from infra.capability import Capability, mint
from infra.settings import Settings
from tests.api.gpu import completion, failure
from tests.api.service import running
from tests.api.studio import Studio

CREATOR = "contract-creator"
LIFE_S = 24 * 3600


def s3_client(settings: Settings) -> Any:
    """A client of the bucket, as the worker has one."""
    return boto3.client(
        "s3",
        endpoint_url=settings.r2_endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


async def seeded(settings: Settings, count: int) -> str:
    """`count` items in each state, and what schemathesis needs to know of them, as JSON."""
    s3 = s3_client(settings)
    try:
        async with running(settings) as service:
            studio = Studio(service, s3, CREATOR)
            found = [await _items(studio) for _ in range(count)]
            while await service.services.sealer.seal_once():
                continue
            evidence = [
                event.context.evidence
                for items in found
                for item in items
                for event in await service.services.store.load(UUID(item["id"]))
            ]
    finally:
        s3.close()
    return json.dumps(
        {
            "items": [each["id"] for items in found for each in items if "id" in each],
            "retried": [each["id"] for items in found for each in items if each.get("retried")],
            "reports": [each["report"] for items in found for each in items if "report" in each],
            "play": [_capability(settings, items[2]["id"], "play") for items in found],
            "webhook": [_capability(settings, items[3]["id"], "webhook") for items in found],
            "evidence": sorted({digest for digest in evidence if digest}),
            "webhookSecret": settings.webhook_keys[0],
            "jwtSecret": settings.jwt_secret.get_secret_value() if settings.jwt_secret else "",
            "issuer": settings.jwt_issuer,
            "audience": settings.jwt_audience,
            "creator": CREATOR,
            "bucketHost": settings.r2_endpoint,
        }
    )


async def _items(studio: Studio) -> list[dict[str, Any]]:
    running_job, ready = await studio.transcoding(), await studio.ready()
    failed = await studio.failed()
    reported = await studio.transcoding()
    studio.gpu.write(reported)
    return [
        {"id": str((await studio.register()).media.id)},
        {"id": str(await studio.uploaded())},
        {"id": str(ready.media_id)},
        {"id": str(running_job.media_id), "report": json.loads(failure(running_job).to_json())},
        {"id": str(failed.media_id), "retried": True},
        {"id": str(reported.media_id), "report": json.loads(completion(reported).to_json())},
    ]


def _capability(settings: Settings, media_id: str, purpose: Any) -> str:
    ends = int(time.time()) + LIFE_S
    return mint(settings.capability_keys[0], Capability(purpose, UUID(media_id), 1, ends))
