"""The SDK's import, in a process that has not imported it yet."""

import subprocess
import sys

IMPORT = """
import cpuinfo

def ask():
    raise SystemExit("the processor was asked for its name")

cpuinfo.get_cpu_info = ask
from gpu_worker.runpod_sdk import serverless
assert cpuinfo.get_cpu_info is ask, "who asks later must get an answer"
assert callable(serverless.start)
"""


def test_it_asks_no_process_for_the_processors_name_and_leaves_who_asks_later_alone() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT], capture_output=True, check=False, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
