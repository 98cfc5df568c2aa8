"""`python -m gpu_worker`: serve RunPod jobs. With arguments: see `gpu_worker.cli`."""

import logging
import os
import sys
import tempfile
from pathlib import Path

from pydantic import ValidationError

from gpu_worker import cli
from gpu_worker.contract_logs import configure
from gpu_worker.errors import IsolationMissing, ToolMissing
from gpu_worker.settings import EncodeSettings, WorkerSettings
from gpu_worker.tools import Tools, confinement, find_tools, missing_features

logger = logging.getLogger(__name__)


def serve() -> int:
    """Take jobs from RunPod until it stops this worker; 2 when the settings do not do."""
    # Imported here: they take seconds, which `transcode` has no use for.
    from gpu_worker.handler import Worker  # noqa: PLC0415
    from gpu_worker.runpod_sdk import serverless  # noqa: PLC0415

    try:
        settings = WorkerSettings.from_environ(os.environ)
        tools = find_tools(settings)
    except ValidationError as error:
        names = ", ".join(sorted({str(item["loc"][0]).upper() for item in error.errors()}))
        print(f"These settings are missing or wrong: {names}.", file=sys.stderr)
        return cli.USAGE_ERROR
    except (IsolationMissing, ToolMissing) as error:
        print(error, file=sys.stderr)
        return cli.USAGE_ERROR

    secrets = (settings.webhook_secret, settings.r2_secret_access_key)
    told = [secret.get_secret_value() for secret in secrets]
    configure("worker", settings.log_level, settings.log_format, told)
    logger.info("%s", confinement(tools.sandbox))

    @serverless.register_fitness_check  # type: ignore[untyped-decorator]  # SDK has no types
    async def ffmpeg_has_all_features() -> None:
        await check_features(settings, tools)

    serverless.start({"handler": Worker(settings, tools).handle})
    return 0


async def check_features(settings: EncodeSettings, tools: Tools) -> None:
    """Raise RuntimeError when this ffmpeg lacks an encoder or filter; RunPod then exits."""
    if missing := await missing_features(tools, Path(tempfile.gettempdir()), settings.beside):
        raise RuntimeError(f"{tools.ffmpeg} lacks {', '.join(missing)}")


def main() -> int:
    """The exit status."""
    arguments = sys.argv[1:]
    return cli.main(arguments, os.environ) if arguments else serve()


if __name__ == "__main__":
    sys.exit(main())
