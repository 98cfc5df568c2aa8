"""A stack in a process of its own, to be killed: prints its environment as JSON, then waits."""

import asyncio
import json
import sys
from pathlib import Path

from infra.embedded.stack import StackOptions, embedded_stack
from tests.infra.embedded.processes import SDK_WORKER


async def main(folder: Path) -> None:
    options = StackOptions(worker_argv=SDK_WORKER, durable=False)
    async with embedded_stack(folder, options) as stack:
        print(json.dumps(dict(stack.environ)), flush=True)
        await asyncio.sleep(120)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
