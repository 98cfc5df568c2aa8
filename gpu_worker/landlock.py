"""Landlock: a process gives up all files but those named, TCP, and signals to others.

Numbers: linux/landlock.h; the numbers of its system calls are the same on every architecture.
"""

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Self

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
TELL_VERSION = 1
RULE_PATH_BENEATH = 1
PR_SET_NO_NEW_PRIVS = 38

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE = (1 << n for n in range(6))
MAKE_CHAR, MAKE_DIR, MAKE_REG, MAKE_SOCK, MAKE_FIFO, MAKE_BLOCK, MAKE_SYM = (
    1 << n for n in range(6, 13)
)
REFER, TRUNCATE, IOCTL_DEV = (1 << n for n in range(13, 16))
_FIRST = 2**13 - 1
_SINCE = ((2, REFER), (3, TRUNCATE), (5, IOCTL_DEV))
NET_SINCE, SCOPES_SINCE = 4, 6
BIND_AND_CONNECT_TCP = 3
ABSTRACT_SOCKETS_AND_SIGNALS = 3

READ = EXECUTE | READ_FILE | READ_DIR
# No links and no special files: who reads the folder afterwards may do more than who wrote it.
KEEP_HOUSE = (
    WRITE_FILE | READ_FILE | READ_DIR | REMOVE_DIR | REMOVE_FILE
    | MAKE_DIR | MAKE_REG | REFER | TRUNCATE
)  # fmt: skip
USE_DEVICE = READ_FILE | READ_DIR | WRITE_FILE | IOCTL_DEV
_OF_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV

_LIBC = ctypes.CDLL(None, use_errno=True)


class _Handled(ctypes.Structure):
    """`struct landlock_ruleset_attr`."""

    _fields_ = (("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    """`struct landlock_path_beneath_attr`."""

    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def version() -> int:
    """The kernel's Landlock ABI; 0 where it has none or it is off."""
    found: int = _LIBC.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), TELL_VERSION)
    return max(found, 0)


class Ruleset:
    """What a child may still do; a context that holds it open until the child was started."""

    def __init__(self, abi: int, granted: Iterable[tuple[Path, int]]) -> None:
        self._handled = _FIRST
        for since, right in _SINCE:
            self._handled |= right if abi >= since else 0
        net = BIND_AND_CONNECT_TCP if abi >= NET_SINCE else 0
        scoped = ABSTRACT_SOCKETS_AND_SIGNALS if abi >= SCOPES_SINCE else 0
        # What is not zero past the end that a kernel knows, it refuses; zeros it does not mind.
        attributes = _Handled(self._handled, net, scoped)
        self._fd = _call(
            CREATE_RULESET,
            ctypes.byref(attributes),
            ctypes.c_size_t(ctypes.sizeof(attributes)),
            0,
        )
        try:
            for path, rights in granted:
                self._grant(path, rights)
        except BaseException:
            os.close(self._fd)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def apply(self) -> None:
        """Bind this process to the rules for good. OSError where the kernel will not."""
        if _LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "no_new_privs")
        _call(RESTRICT_SELF, self._fd, 0)

    def _grant(self, path: Path, rights: int) -> None:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            possible = self._handled if path.is_dir() else self._handled & _OF_A_FILE
            rule = _PathBeneath(rights & possible, parent)
            _call(ADD_RULE, self._fd, RULE_PATH_BENEATH, ctypes.byref(rule), 0)
        finally:
            os.close(parent)


def _call(number: int, *arguments: object) -> int:
    answer: int = _LIBC.syscall(number, *arguments)
    if answer < 0:
        raise OSError(ctypes.get_errno(), f"landlock: {os.strerror(ctypes.get_errno())}")
    return answer
