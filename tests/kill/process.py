"""A process that starts the product's own: `codex-media serve` and `codex-media work`.

    python -m tests.kill.process

Everything is imported once; each process is forked, so that hundreds of starts cost little. Orders
come as lines of JSON; `{"order": 1, "pid": 42}` and `{"order": 1, "status": 9}` go back. At the end
of the orders everything started is killed.
"""

import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Never

import uvicorn.protocols.http.h11_impl  # noqa: F401 - chosen by name, when a server starts

from api.cli import app, server
from infra.embedded.tether import prctl
from infra.fault_points import watch
from tests.kill.points import Armed, Recorder

PR_SET_PDEATHSIG = 1


class Order(NamedTuple):
    """What to start: arguments of `codex-media`, its whole environment, where it logs to."""

    order: int
    arguments: list[str]
    environ: Mapping[str, str]
    log: str
    record: str | None
    """A file that gets a line for each point reached."""
    kill_at: str | None
    """The point at which the process kills itself, `NAME` or `NAME:N` for the Nth time."""


def main() -> None:
    """Take orders until there are no more."""
    assert server  # imported for the processes to come
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # guardians need no burial
    for line in sys.stdin:
        order = Order(**json.loads(line))
        if os.fork() == 0:
            guard(order)
    os.killpg(0, signal.SIGKILL)


def guard(order: Order) -> Never:
    """Start the process, wait for its end, and tell of both."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    pid = os.fork()
    if pid == 0:
        become(order)
    tell({"order": order.order, "pid": pid})
    _, status = os.waitpid(pid, 0)
    tell({"order": order.order, "status": os.waitstatus_to_exitcode(status)})
    os._exit(0)


def tell(message: Mapping[str, int]) -> None:
    """One write: lines of several guardians do not mix."""
    os.write(1, json.dumps(message).encode() + b"\n")


def become(order: Order) -> Never:
    """Be `codex-media`, with nothing of ours but the watcher."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    log = os.open(order.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for kept, made in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(kept, made)
    os.environ.clear()
    os.environ.update(order.environ)
    if order.record:
        watch(Recorder(Path(order.record)))
    if order.kill_at:
        watch(Armed(order.kill_at))
    app(args=order.arguments)
    os._exit(0)  # not reached: the command exits by itself


if __name__ == "__main__":
    main()
