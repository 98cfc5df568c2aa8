"""The RunPod stand-in and real SDK workers as child processes."""

import asyncio
import secrets
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from infra.embedded.ports import free_port, listens
from infra.embedded.runpod_chaos import ChaosPlan
from infra.embedded.supervisor import Child, ChildSpec, Supervisor, start_on_free_port

ENDPOINT_ID = "local"
START_TIMEOUT_S = 20.0
PING_INTERVAL_MS = 2000
WORKER_ARGV = (sys.executable, "-m", "gpu_worker")


@dataclass(frozen=True)
class RunpodEndpoint:
    """Where the control API of one endpoint is. `base_url` stands for `https://api.runpod.ai`."""

    base_url: str
    api_key: str
    endpoint_id: str = ENDPOINT_ID


async def start_runpod_stand_in(
    supervisor: Supervisor,
    api_key: str,
    environ: Mapping[str, str] | None = None,
    chaos: ChaosPlan | None = None,
) -> RunpodEndpoint:
    """Starts the control plane on a free port. `environ` may shorten its times
    (`RUNPOD_STAND_IN_…`), `chaos` says what goes wrong. Raises ChildDied or ChildNotReady."""
    module = "runpod_stand_in" if chaos is None else "runpod_chaotic"
    more = dict(environ or {}) | (chaos.to_environ() if chaos else {})

    async def start() -> int:
        port = free_port()
        endpoint = RunpodEndpoint(f"http://127.0.0.1:{port}", api_key)
        await start_stand_in_at(supervisor, endpoint, more, module)
        return port

    port = await start_on_free_port(start)
    return RunpodEndpoint(f"http://127.0.0.1:{port}", api_key)


async def start_stand_in_at(
    supervisor: Supervisor,
    endpoint: RunpodEndpoint,
    environ: Mapping[str, str] | None = None,
    module: str = "runpod_stand_in",
) -> None:
    """Starts the control plane of `endpoint`, whose `base_url` is an address of this machine with
    a port. Raises ChildDied or ChildNotReady."""
    port = urlsplit(endpoint.base_url).port or 80
    env = {
        "RUNPOD_API_KEY": endpoint.api_key,
        "RUNPOD_ENDPOINT_ID": endpoint.endpoint_id,
        "RUNPOD_STAND_IN_PORT": str(port),
    }
    spec = ChildSpec(
        "runpod", [sys.executable, "-m", f"infra.embedded.{module}"], env | dict(environ or {})
    )
    await supervisor.start(spec, lambda: listens(port), START_TIMEOUT_S)


async def start_worker(
    supervisor: Supervisor,
    endpoint: RunpodEndpoint,
    name: str,
    environ: Mapping[str, str],
    argv: Sequence[str] = WORKER_ARGV,
) -> Child:
    """Starts one worker. `environ` is what the endpoint's template would give it: bucket, secrets.

    It runs in an emptied folder of its own: the SDK keeps a list of running jobs in its working
    directory, and one that outlived a killed worker would stop the next from taking any.
    """
    folder = supervisor.folder / "workers" / name
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    (folder / "tmp").mkdir(mode=0o700, parents=True)
    env = worker_environ(endpoint, f"{name}-{secrets.token_hex(4)}")
    # HOME too: the SDK prefers a key in ~/.runpod to the one it is given.
    env |= {"HOME": str(folder), "TMPDIR": str(folder / "tmp"), **environ}
    return await supervisor.start(ChildSpec(name, argv, env, cwd=folder))


def worker_environ(endpoint: RunpodEndpoint, pod_id: str) -> dict[str, str]:
    """The variables by which the SDK finds its control plane; it fills in `$ID` and
    `$RUNPOD_POD_ID` itself, and needs the `?` because it appends with `&`."""
    base = f"{endpoint.base_url}/v2/{endpoint.endpoint_id}"
    return {
        "RUNPOD_ENDPOINT_ID": endpoint.endpoint_id,
        "RUNPOD_POD_ID": pod_id,
        "RUNPOD_AI_API_KEY": endpoint.api_key,
        "RUNPOD_WEBHOOK_GET_JOB": f"{base}/job-take/$ID?gpu=local",
        "RUNPOD_WEBHOOK_POST_OUTPUT": f"{base}/job-done/$RUNPOD_POD_ID/$ID?gpu=local",
        "RUNPOD_WEBHOOK_PING": f"{base}/ping/$RUNPOD_POD_ID",
        "RUNPOD_PING_INTERVAL": str(PING_INTERVAL_MS),
        "RUNPOD_LOG_LEVEL": "INFO",
        # Checks of a rented GPU machine: memory, disk, network, CUDA.
        "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
        "RUNPOD_SKIP_GPU_CHECK": "true",
        "NO_PROXY": "127.0.0.1",
    }
