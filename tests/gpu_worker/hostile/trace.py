"""What ffmpeg and ffprobe really did, by strace: files they opened and sockets they made.

Refused calls do not count: strace never sees those that the seccomp filter stops.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gpu_worker.sandbox import KERNEL, PLAIN_DEVICES, SYSTEM
from gpu_worker.tools import Tools

ALLOCATOR = "/proc/sys/vm/overcommit_memory"
"""The C library's memory allocator asks there."""
CALLS = "open,openat,openat2,creat,socket,socketpair,execve,clone,clone3,fork,vfork"
_LINE = re.compile(r"^(?P<call>\w+)\((?P<rest>.*)\) += (?P<result>\S+)")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_CWD = re.compile(r"^AT_FDCWD<(?P<cwd>[^>]*)>")
_OPENED = re.compile(r"^\d+<(?P<path>[^>]*)>")


def available() -> str | None:
    """strace's path."""
    return shutil.which("strace")


def traced(argv: Sequence[str], logs: Path) -> int:
    """Run `argv` with everything it starts under strace; its exit status."""
    logs.mkdir()
    strace = ["strace", "-ff", "-qq", "-y", "--seccomp-bpf", "-s", "4096", "-e", f"trace={CALLS}"]
    quiet = ["-e", "signal=none", "-o", str(logs / "log")]
    return subprocess.run([*strace, *quiet, *argv], check=False).returncode


@dataclass
class Deeds:
    """What the programs did outside: paths they opened, kinds of sockets they made."""

    files: set[str] = field(default_factory=set)
    sockets: list[str] = field(default_factory=list)
    programs: int = 0


def deeds(logs: Path, tools: Tools, rooms: Path) -> Deeds:
    """Read the logs of a run whose jobs lie below `rooms`, each with `input` and `tree`."""
    found = Deeds()
    lines = {path.suffix[1:]: path.read_text("utf-8", "replace") for path in logs.iterdir()}
    parsed = {pid: list(_calls(text)) for pid, text in lines.items()}
    forked = {
        call["result"].split("<")[0]
        for calls in parsed.values()
        for call in calls
        if call["call"] in {"clone", "clone3", "fork", "vfork"}
    }
    programs = {str(Path(tools.ffmpeg)), str(Path(tools.ffprobe))}
    waiting = [(pid, "") for pid in parsed if pid not in forked]
    while waiting:
        pid, program = waiting.pop()
        for call in parsed.get(pid, ()):
            match call["call"]:
                case "execve":
                    if call["result"] == "0":
                        program = _QUOTED.findall(call["rest"])[0]
                        found.programs += program in programs
                case "clone" | "clone3" | "fork" | "vfork":
                    waiting.append((call["result"].split("<")[0], program))
                case "socket" | "socketpair":
                    if program in programs and not call["result"].startswith("-"):
                        found.sockets.append(call["rest"])
                case _:
                    path = _opened(call) if program in programs else None
                    if path and not _is_own(path, call["rest"], programs, rooms):
                        found.files.add(path)
    return found


def _calls(text: str) -> Iterator[dict[str, str]]:
    for line in text.splitlines():
        if match := _LINE.match(line):
            yield match.groupdict()


def _opened(call: dict[str, str]) -> str | None:
    """The whole path that was opened; None where it was not."""
    match = _OPENED.match(call["result"])
    if match is None:
        return None
    named = Path(_QUOTED.findall(call["rest"])[-1])
    # Inside other mounts, strace's own idea of the path may not be ours: an absolute one stands.
    return str(named) if named.is_absolute() else match["path"]


def _is_own(path: str, rest: str, programs: set[str], rooms: Path) -> bool:
    """Whether it is a program, a device, or of the very job whose folder the program is in."""
    if path in {*programs, *PLAIN_DEVICES, ALLOCATOR}:
        return True
    if any(Path(path).is_relative_to(folder) for folder in (*SYSTEM, *KERNEL)):
        return True
    if not Path(path).is_relative_to(rooms):
        return False
    room, *inside = Path(path).relative_to(rooms).parts
    here = _CWD.match(rest)
    elsewhere = here is not None and Path(here["cwd"]).is_relative_to(rooms)
    if elsewhere and not Path(here["cwd"] if here else "").is_relative_to(rooms / room):
        return False
    return inside == ["input"] or inside[:1] == ["tree"]
