"""Runs a command that cannot outlive whoever started it, nor leave anything of its own behind.

    python -I -S tether.py --parent PID [--signal NAME] [--user UID:GID] -- COMMAND…

The tether stays between the two, as the command's parent, on every system: it passes stop signals
on, and once its own parent is gone it sends the command `--signal`, waits `ORPHAN_GRACE_S` and
kills the whole tree below it. SIGUSR1 means: kill the tree now. It staying there, rather than a
parent-death signal on the command alone, is what reaches a worker's ffmpeg, which runs in a process
group of its own. Linux adds two things: descendants that lost their parent come back to the tether
(PR_SET_CHILD_SUBREAPER), and the command gets `--signal` should the tether itself be killed
(PR_SET_PDEATHSIG). Exits as the command did, 128 + N for signal N.

Standard library only, run by file path: it starts in about 30 ms.
"""

import argparse
import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Never

POLL_S = 0.2
ORPHAN_GRACE_S = 3.0
KILL_ROUNDS = 100
KILL_PAUSE_S = 0.02

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
"""Numbers of Linux's prctl(2)."""

KILL_NOW = signal.SIGUSR1
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


class Tether:
    """One running command and the means to end it."""

    def __init__(self, command: list[str], parent: int, orphan_signal: signal.Signals) -> None:
        self._parent = parent
        self._orphan_signal = orphan_signal
        self._kill_at: float | None = None
        self._status: int | None = None
        self._awake = _wake_on_signals()
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        # A signal that comes meanwhile waits until there is a child to pass it on to.
        signal.pthread_sigmask(signal.SIG_BLOCK, {*PASSED_ON, KILL_NOW})
        self._child = _spawn(command, orphan_signal)
        for number in PASSED_ON:
            signal.signal(number, self._pass_on)
        signal.signal(KILL_NOW, self._kill_now)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {*PASSED_ON, KILL_NOW})

    def wait(self) -> int:
        """The command's exit status (as `waitpid` gives it), once nothing of it runs any more."""
        while self._status is None:
            if self._kill_at is None and os.getppid() != self._parent:
                self._send(self._orphan_signal)
                self._kill_at = time.monotonic() + ORPHAN_GRACE_S
            if self._kill_at is not None and time.monotonic() >= self._kill_at:
                break
            if select.select([self._awake], [], [], POLL_S)[0]:
                os.read(self._awake, 512)
            self._reap()
        self._kill_tree()
        return signal.SIGKILL if self._status is None else self._status

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        self._send(signal.Signals(number))

    def _kill_now(self, _number: int, _frame: FrameType | None) -> None:
        self._kill_at = time.monotonic()

    def _send(self, number: signal.Signals) -> None:
        if self._status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child, number)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == self._child:
                    self._status = ended[1]

    def _kill_tree(self) -> None:
        for _ in range(KILL_ROUNDS):
            victims = descendants(os.getpid())
            if not victims:
                return
            for pid in victims:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(KILL_PAUSE_S)
            self._reap()


def _spawn(command: list[str], death_signal: signal.Signals) -> int:
    tether = os.getpid()
    child = os.fork()
    if child == 0:
        prctl(PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != tether:  # it died between the fork and the line above
            os._exit(128 + death_signal)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it; a command must not
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        try:
            os.execvp(command[0], command)  # noqa: S606 - an argv, and no shell is wanted
        except OSError as error:
            print(f"{command[0]}: {error.strerror}", file=sys.stderr, flush=True)
            os._exit(127)
    return child


def _wake_on_signals() -> int:
    """A descriptor that becomes readable with every signal, a child's end included."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    return reader


def prctl(option: int, value: int) -> None:
    """Linux's prctl(2) with one argument; nothing elsewhere."""
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}, {value}): {os.strerror(number)}")


def descendants(ancestor: int) -> list[int]:
    """Every living process below `ancestor`, nearest first."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    found: list[int] = []
    level = [ancestor]
    while level:
        level = [child for pid in level for child in children.get(pid, [])]
        found += level
    return found


def _parents() -> list[tuple[int, int]]:
    """(process, its parent) of all that run; Linux's /proc because slim images have no `ps`."""
    if sys.platform != "linux":
        return _parents_by_ps()
    pairs = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):  # it ended meanwhile
                # The name, in parentheses, may hold anything: the state and the parent follow it.
                fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
                if fields[0] != b"Z":
                    pairs.append((int(folder.name), int(fields[1])))
    return pairs


def _parents_by_ps() -> list[tuple[int, int]]:
    with subprocess.Popen(
        ["/bin/ps", "-axo", "pid=,ppid="], stdout=subprocess.PIPE, text=True
    ) as ps:
        lines = ps.communicate(timeout=5)[0].splitlines()
        pairs = [(int(line.split()[0]), int(line.split()[1])) for line in lines]
        return [pair for pair in pairs if pair[0] != ps.pid]


def drop_to(user: str) -> None:
    """Becomes `UID:GID` for good, with no supplementary groups."""
    uid, gid = (int(part) for part in user.split(":"))
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def main(arguments: list[str]) -> Never:
    """Runs the command line described above; never returns."""
    parser = argparse.ArgumentParser(prog="tether")
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--signal", type=lambda name: signal.Signals[name], default=signal.SIGKILL)
    parser.add_argument("--user")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)
    if options.user:
        drop_to(options.user)
    status = Tether(options.command, options.parent, options.signal).wait()
    code = os.waitstatus_to_exitcode(status)
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main(sys.argv[1:])
