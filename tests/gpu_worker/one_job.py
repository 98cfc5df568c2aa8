"""Runs one job in a process of its own, to be killed: `python -m tests.gpu_worker.one_job JSON`."""

import asyncio
import json
import os
import sys

from gpu_worker.handler import Worker
from gpu_worker.settings import WorkerSettings
from gpu_worker.tools import find_tools

if __name__ == "__main__":
    settings = WorkerSettings.from_environ(os.environ)
    worker = Worker(settings, find_tools(settings))
    print(json.dumps(asyncio.run(worker.handle(json.loads(sys.argv[1])))))
