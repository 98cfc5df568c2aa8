"""A worker dies, and another one finishes its job."""

import asyncio
import hashlib
import time
from pathlib import Path
from uuid import UUID

from gpu_worker.contract import Manifest, OutputLayout
from gpu_worker.settings import EncodeSettings
from gpu_worker.tools import find_tools
from tests.gpu_worker.clips import Clips
from tests.kill.creator import CREATOR
from tests.kill.gpu import Moment, bench
from tests.kill.world import Parts, World, world

SILENCE_S = 4.0
"""Of a worker that RunPod takes for dead; a living one pings every half second."""
BEFORE_THE_MANIFEST = frozenset(Moment) - {Moment.AFTER_MANIFEST, Moment.COMPLETED}


def film_in(folder: Path) -> bytes:
    """A small film, made in `folder`, whose encode takes a moment."""
    return Clips(folder, find_tools(EncodeSettings()))["long"].read_bytes()


async def take_over(parts: Parts, folder: Path, film: bytes, moment: Moment) -> float:
    """A worker dies at `moment`, a second one is there, and the item is whole; after how long."""
    async with (
        world(parts, light=False, worker_silence_s=SILENCE_S) as made,
        bench(made, folder) as workers,
    ):
        made.creator.film = film
        first = await workers.start(f"first-{moment.name.lower()}")
        media_id = await made.creator.upload("plain")
        await workers.kill_at(moment, first)
        killed = time.monotonic()
        if moment in BEFORE_THE_MANIFEST:
            await leave_stray(made, media_id)
        await workers.start(f"second-{moment.name.lower()}")
        status = await made.creator.until_final(media_id)
        assert (status["status"], status["attempts"]) == ("ready", 1), status
        took_s = time.monotonic() - killed
        await check_outputs(made, media_id)
        await made.check()
        return took_s


async def leave_stray(made: World, media_id: UUID) -> None:
    """An object that the next run does not write, as a larger ladder might have left."""
    key = f"{OutputLayout(CREATOR, media_id).prefix}1080p_099.ts"
    bucket = made.settings.r2_bucket
    await asyncio.to_thread(made.s3.put_object, Bucket=bucket, Key=key, Body=b"stray")


async def check_outputs(made: World, media_id: UUID) -> None:
    """What lies in the bucket is what the manifest says, byte by byte, and nothing else."""
    layout, bucket = OutputLayout(CREATOR, media_id), made.settings.r2_bucket
    body = made.s3.get_object(Bucket=bucket, Key=layout.manifest)["Body"].read()
    manifest = Manifest.model_validate_json(body)
    for listed in manifest.objects:
        content = made.s3.get_object(Bucket=bucket, Key=listed.key)["Body"].read()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (listed.size, listed.sha256)
    there = made.s3.list_objects_v2(Bucket=bucket, Prefix=layout.prefix)["Contents"]
    listed_keys = {each.key for each in manifest.objects if each.key.startswith(layout.prefix)}
    keys = {each["Key"] for each in there}
    assert keys == listed_keys | {layout.manifest}, keys ^ listed_keys
