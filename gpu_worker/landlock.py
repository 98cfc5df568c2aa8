"""Landlock: a process gives up all files but those named, TCP, and signals to others.

Numbers: linux/landlock.h; the numbers of its system calls are the same on every architecture.
"""

import ctypes
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

CREATE_RULESET, ADD_RULE = 444, 445
TELL_VERSION = 1
RULE_PATH_BENEATH = 1

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


@contextmanager
def ruleset(abi: int, granted: Iterable[tuple[Path, int]]) -> Iterator[int]:
    """A descriptor of the rules that a child is to bind itself to, open until it was started."""
    handled = _FIRST
    for since, right in _SINCE:
        handled |= right if abi >= since else 0
    net = BIND_AND_CONNECT_TCP if abi >= NET_SINCE else 0
    scoped = ABSTRACT_SOCKETS_AND_SIGNALS if abi >= SCOPES_SINCE else 0
    # What is not zero past the end that a kernel knows, it refuses; zeros it does not mind.
    attributes = _Handled(handled, net, scoped)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    made = _call(CREATE_RULESET, ctypes.byref(attributes), size, 0)
    try:
        for path, rights in granted:
            _grant(made, handled, path, rights)
        yield made
    finally:
        os.close(made)


def _grant(made: int, handled: int, path: Path, rights: int) -> None:
    parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        possible = handled if path.is_dir() else handled & _OF_A_FILE
        rule = _PathBeneath(rights & possible, parent)
        _call(ADD_RULE, made, RULE_PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(parent)


def _call(number: int, *arguments: object) -> int:
    answer: int = _LIBC.syscall(number, *arguments)
    if answer < 0:
        raise OSError(ctypes.get_errno(), f"landlock: {os.strerror(ctypes.get_errno())}")
    return answer
