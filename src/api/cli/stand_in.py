"""`stand-in`: RunPod's part, played on this machine for a service whose other parts are real."""

import asyncio
import signal
from pathlib import Path
from urllib.parse import urlsplit

from api.cli import output
from infra.addresses import on_this_machine
from infra.embedded.runpod_local import RunpodEndpoint, start_stand_in_at, start_worker
from infra.embedded.supervisor import Supervisor
from infra.settings import Settings, SettingsInvalid


def run(settings: Settings, data: Path, workers: int) -> int:
    """Until Ctrl-C or SIGTERM; the exit code. `SettingsInvalid` for an address elsewhere."""
    parts = urlsplit(settings.runpod_base_url)
    if not on_this_machine(settings.runpod_base_url) or parts.port is None:
        raise SettingsInvalid(
            "RUNPOD_BASE_URL must be a port of this machine, such as http://127.0.0.1:8010: "
            "there the stand-in will listen, and there `serve` and `work` will look for it"
        )
    try:
        asyncio.run(_run(settings, data, workers))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 128 + signal.SIGINT
    return 0


async def _run(settings: Settings, data: Path, workers: int) -> None:
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    endpoint = RunpodEndpoint(
        settings.runpod_base_url,
        settings.runpod_api_key.get_secret_value(),
        settings.runpod_endpoint_id,
    )
    async with Supervisor(data) as supervisor:
        await start_stand_in_at(supervisor, endpoint)
        for number in range(1, workers + 1):
            await start_worker(supervisor, endpoint, f"worker-{number}", worker_settings(settings))
        output.err.print(
            f"RunPod's stand-in is at {endpoint.base_url}, with {workers} of our workers on the "
            f"CPU; logs in {data / 'logs'}. Ctrl-C stops it.",
            soft_wrap=True,
        )
        raise await supervisor.first_death()


def worker_settings(settings: Settings) -> dict[str, str]:
    """What an endpoint's template gives its workers."""
    return {
        "R2_ENDPOINT": settings.r2_endpoint,
        "R2_BUCKET": settings.r2_bucket,
        "R2_REGION": settings.r2_region,
        "R2_ACCESS_KEY_ID": settings.r2_access_key_id,
        "R2_SECRET_ACCESS_KEY": settings.r2_secret_access_key.get_secret_value(),
        "WEBHOOK_SECRET": settings.webhook_keys[0],
    }
