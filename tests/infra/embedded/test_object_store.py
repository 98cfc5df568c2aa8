"""The embedded object store: what moto does not check, and that data outlives `kill -9`."""

from pathlib import Path

import httpx
import pytest
from botocore.exceptions import ClientError

from infra.embedded.object_store import BucketKeys, ObjectStore, start_object_store
from infra.embedded.supervisor import Supervisor
from tests.infra.bucket import client_of

BUCKET = "codex-media"
KEYS = BucketKeys("ourkey", "oursecret")


async def presigned_put(store: ObjectStore, key: str, size: int, keys: BucketKeys = KEYS) -> str:
    params = {"Bucket": BUCKET, "Key": key, "ContentType": "video/mp4", "ContentLength": size}
    async with client_of(store, keys, tries=3) as client:
        return await client.generate_presigned_url("put_object", params, ExpiresIn=60)


async def put(url: str, body: bytes, content_type: str = "video/mp4") -> int:
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        answer = await client.put(url, content=body, headers={"content-type": content_type})
    return answer.status_code


async def test_store_honours_signatures_ranges_and_conditions_and_keeps_its_data(
    tmp_path: Path,
) -> None:
    async with Supervisor(tmp_path) as supervisor:
        store = await start_object_store(supervisor, KEYS, BUCKET)
        url = await presigned_put(store, "creator/originals/1/clip.mp4", 5)
        assert await put(url, b"12345") == 200
        assert await put(url, b"12345", "text/html") == 403
        assert await put(url, b"123456") == 403
        forged = await presigned_put(store, "a", 5, BucketKeys("ourkey", "guessed"))
        assert await put(forged, b"12345") == 403
        async with client_of(store, KEYS, tries=3) as client:
            with pytest.raises(ClientError, match="PreconditionFailed"):
                await client.put_object(
                    Bucket=BUCKET, Key="creator/originals/1/clip.mp4", Body=b"x", IfNoneMatch="*"
                )
    identities = tmp_path / "objects" / "identities.json"
    assert identities.stat().st_mode & 0o077 == 0
    assert "oursecret" not in (tmp_path / "logs" / "object-store.log").read_text()
    # Leaving the supervisor killed it: nothing of SeaweedFS is stopped politely.
    async with Supervisor(tmp_path) as supervisor:
        store = await start_object_store(supervisor, KEYS, BUCKET)
        async with client_of(store, KEYS) as client:  # what was kept is there from the start
            kept = await client.get_object(
                Bucket=BUCKET, Key="creator/originals/1/clip.mp4", Range="bytes=1-2"
            )
            assert kept["ResponseMetadata"]["HTTPStatusCode"] == 206
            assert await kept["Body"].read() == b"23"
            assert kept["ContentType"] == "video/mp4"
