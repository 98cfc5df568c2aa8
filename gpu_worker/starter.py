"""Confines its own process, then becomes the program that is to be confined.

Between fork and exec, a child of a process with threads may do next to nothing: a lock that another
thread held at that moment is never given back (fork(2)). Code run there can hang, and its parent
waits for it without a limit. So the worker starts this, a program of one thread, which then sets
limits, binds itself to Landlock's rules and to the filter, and executes what it was told to.

It is run as a file and imports nothing of ours, to be there in a few hundredths of a second.
"""

import ctypes
import errno
import os
import resource
import signal
import sys
from collections.abc import Mapping, Sequence

FILE = os.path.abspath(__file__)  # noqa: PTH100 - pathlib would be half of the start
STARTED = b"."
FAILED = 125
"""The status of a starter that could not do what it was ordered to, as that of env(1)."""
LIMITS = {
    "cpu": resource.RLIMIT_CPU,
    "file": resource.RLIMIT_FSIZE,
    "core": resource.RLIMIT_CORE,
    "data": resource.RLIMIT_DATA,
}
"""setrlimit(2), by the order's name."""
PARENT, LANDLOCK, SECCOMP, TELL = "parent", "landlock", "seccomp", "tell"
EXPECT_NO_SOCKET, EXPECT_NO_ROOT = "expect-no-socket", "expect-no-root"

IGNORED = (signal.SIGPIPE, signal.SIGXFSZ)
"""By Python, and by what it executes, unless they are set back: ffmpeg would write past a limit on
files without an error."""
PR_SET_PDEATHSIG = 1  # prctl(2)
PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_MODE_FILTER = 2
LANDLOCK_RESTRICT_SELF = 446
INSTRUCTION_BYTES = 8
"""Of one `struct sock_filter`."""
MAX_FILTER_BYTES = 4096 * INSTRUCTION_BYTES
"""BPF_MAXINSNS of them."""


class _Program(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def command(orders: Mapping[str, int], argv: Sequence[str]) -> list[str]:
    """How to start `argv` under `orders`.

    They are: `cpu` (seconds), `file`, `core` and `data` (bytes) of setrlimit(2); `parent`, the
    process with whose end the program's comes; `landlock` and `seccomp`, descriptors of a ruleset
    and of a filter, to be inherited; `tell`, that of a pipe that :func:`failure_of` reads; and what
    is expected then, `expect-no-socket` and `expect-no-root`, whose number says nothing.
    """
    words = [f"{name}={number}" for name, number in orders.items()]
    return [sys.executable, "-I", "-S", FILE, *words, "--", *argv]


def failure_of(told: bytes) -> OSError | None:
    """What kept the program from being executed, by what the starter has told until it ended.

    The program itself has not got that pipe: what it writes is never taken for this.
    """
    if told == STARTED:
        return None
    number, _, what = told.removeprefix(STARTED).decode().partition(" ")
    return OSError(int(number or errno.ECHILD), what or "the starter ended before it had begun")


def _confine(orders: Mapping[str, int]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for name, which in LIMITS.items():
        if name in orders:
            resource.setrlimit(which, (orders[name], orders[name]))
    if PARENT in orders:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != orders[PARENT]:  # it ended before the line above
            raise ProcessLookupError(errno.ESRCH, "the worker is gone")
    if LANDLOCK in orders:
        _expect(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
        _expect(libc.syscall(LANDLOCK_RESTRICT_SELF, orders[LANDLOCK], 0), "Landlock")
        os.close(orders[LANDLOCK])
    if SECCOMP in orders:  # last: it refuses what others may need
        content = os.read(orders[SECCOMP], MAX_FILTER_BYTES)
        os.close(orders[SECCOMP])
        program = _Program(len(content) // INSTRUCTION_BYTES, content)
        _expect(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
        filtered = libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0)
        _expect(filtered, "seccomp")
    if EXPECT_NO_SOCKET in orders:
        _expect_no_socket()
    if EXPECT_NO_ROOT in orders:
        _expect_no_root()


def _expect(answer: int, what: str) -> None:
    if answer != 0:
        raise OSError(ctypes.get_errno(), what)


def _expect_no_socket() -> None:
    import socket  # noqa: PLC0415 - only where it is tried

    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()
    except PermissionError:
        return
    raise OSError(errno.ENOTSUP, "a socket was opened")


def _expect_no_root() -> None:
    try:
        os.close(os.open("/", os.O_RDONLY | os.O_DIRECTORY))
    except PermissionError:
        return
    raise OSError(errno.ENOTSUP, "a folder was opened")


def main(words: Sequence[str]) -> None:
    """Confine, then execute."""
    end = words.index("--")
    given = (word.split("=") for word in words[:end])
    orders = {name: int(number) for name, number in given}
    program = list(words[end + 1 :])
    tell = orders.get(TELL)
    if tell is not None:
        os.set_inheritable(tell, False)  # closed when the program is executed
    try:
        _confine(orders)
        for ignored in IGNORED:
            signal.signal(ignored, signal.SIG_DFL)
        _tell(tell, STARTED)
        os.execvp(program[0], program)  # noqa: S606 - a shell is what nobody wants here
    except Exception as failure:  # noqa: BLE001 - whatever it was, it is told
        number = getattr(failure, "errno", None) or errno.EINVAL
        what = getattr(failure, "strerror", None) or repr(failure)
        _tell(tell, f"{number} {what}: {program[0]}".encode())
    sys.exit(FAILED)


def _tell(tell: int | None, what: bytes) -> None:
    if tell is not None:
        os.write(tell, what)


if __name__ == "__main__":
    main(sys.argv[1:])
