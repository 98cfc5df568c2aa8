"""A worker on the real RunPod SDK whose job says what to do; run as a process of its own."""

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from gpu_worker.runpod_sdk import serverless

SLEEPER = [sys.executable, "-c", "import time; time.sleep(300)"]


async def handler(job: dict[str, Any]) -> dict[str, Any]:
    match job["input"]["do"]:
        case "echo":
            return {"echo": job["input"]["text"], "worker": os.environ["RUNPOD_POD_ID"]}
        case "mark":
            handle, _ = tempfile.mkstemp(dir=job["input"]["folder"])
            os.close(handle)
            await asyncio.sleep(0.5)
            return {"marked": True}
        case "error":
            return {"error": job["input"]["text"]}
        case "raise":
            raise RuntimeError(job["input"]["text"])
        case "progress":
            serverless.progress_update(job, {"percent": 40})
            await asyncio.sleep(1)
            return {"percent": 100}
        case "sleep":
            return await sleep_with_a_child_in_its_own_session(Path(job["input"]["folder"]))
        case other:
            return {"error": f"cannot {other}"}


async def sleep_with_a_child_in_its_own_session(folder: Path) -> dict[str, Any]:
    """Runs for 30 s, as an encode does; leaves its child's process id and, if stopped, a mark."""
    with subprocess.Popen(SLEEPER, start_new_session=True) as child:  # noqa: ASYNC220
        (folder / "child").write_text(str(child.pid))
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            (folder / "stopped").touch()
            raise
        finally:
            child.kill()
    return {"slept": True}


if __name__ == "__main__":
    serverless.start({"handler": handler})
