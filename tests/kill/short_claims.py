"""The real worker, as `python -m gpu_worker` runs it, whose claims run out soon.

python -m tests.kill.short_claims
"""

import logging
import os

from gpu_worker.claim import Times
from gpu_worker.handler import Worker
from gpu_worker.runpod_sdk import serverless
from gpu_worker.settings import WorkerSettings
from gpu_worker.tools import find_tools
from tests.kill.times import LEASE_S

SHORT = Times(lease_s=LEASE_S, renewal_s=0.5, retry_s=0.3, call_s=2.0)

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    settings = WorkerSettings.from_environ(os.environ)
    worker = Worker(settings, find_tools(settings), SHORT)
    serverless.start({"handler": worker.handle})
