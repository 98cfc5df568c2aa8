"""A seccomp filter for programs that have files to read and write, and nobody to talk to.

It refuses every socket, every new process, and what would lead around the other layers. Format:
Linux, "Seccomp BPF" (Documentation/userspace-api/seccomp_filter.rst); numbers of calls: each
architecture's asm/unistd.h.
"""

import ctypes
import errno
import platform
from typing import NamedTuple

KILL_PROCESS, ERRNO, ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
LOAD, IF_EQUAL, IF_AT_LEAST, IF_ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
CALL_AT, ARCHITECTURE_AT, FIRST_ARGUMENT_AT = 0, 4, 16
X32_CALLS = 0x40000000
"""On x86-64, the same calls under other numbers begin here."""
CLONE_THREAD = 0x00010000

# AF_UNIX is refused with the others: a database, a container runtime or a name service on this
# machine listens there. socketpair makes sockets that can be sent elsewhere. CUDA asks for one only
# to find an MPS server, which RunPod does not run. io_uring would open sockets unseen by a filter.
_ANYWHERE = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
    "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432,
    "fspick": 433, "pidfd_getfd": 438, "mount_setattr": 442,
}  # fmt: skip
_X86_64 = {
    "socket": 41, "socketpair": 53, "fork": 57, "vfork": 58, "symlink": 88, "ptrace": 101,
    "mknod": 133, "pivot_root": 155, "chroot": 161, "mount": 165, "umount2": 166,
    "init_module": 175, "delete_module": 176, "kexec_load": 246, "add_key": 248,
    "request_key": 249, "keyctl": 250, "mknodat": 259, "symlinkat": 266, "unshare": 272,
    "perf_event_open": 298, "open_by_handle_at": 304, "setns": 308, "process_vm_readv": 310,
    "process_vm_writev": 311, "finit_module": 313, "kexec_file_load": 320, "bpf": 321,
    "userfaultfd": 323,
}  # fmt: skip
_AARCH64 = {
    "mknodat": 33, "symlinkat": 36, "umount2": 39, "mount": 40, "pivot_root": 41, "chroot": 51,
    "unshare": 97, "kexec_load": 104, "init_module": 105, "delete_module": 106, "ptrace": 117,
    "socket": 198, "socketpair": 199, "add_key": 217, "request_key": 218, "keyctl": 219,
    "perf_event_open": 241, "open_by_handle_at": 265, "setns": 268, "process_vm_readv": 270,
    "process_vm_writev": 271, "finit_module": 273, "bpf": 280, "userfaultfd": 282,
    "kexec_file_load": 294,
}  # fmt: skip
CLONE3 = 435


class _Architecture(NamedTuple):
    audit: int
    clone: int
    refused: dict[str, int]


ARCHITECTURES = {
    "x86_64": _Architecture(0xC000003E, 56, _X86_64 | _ANYWHERE),
    "aarch64": _Architecture(0xC00000B7, 220, _AARCH64 | _ANYWHERE),
}


class _Instruction(ctypes.Structure):
    """`struct sock_filter`."""

    _fields_ = (
        ("code", ctypes.c_uint16),
        ("jump_true", ctypes.c_uint8),
        ("jump_false", ctypes.c_uint8),
        ("k", ctypes.c_uint32),
    )


def program(machine: str | None = None) -> bytes:
    """The filter for this machine's architecture, as the kernel and bubblewrap's `--seccomp` read
    it. KeyError where there is none.
    """
    return b"".join(map(bytes, _instructions(ARCHITECTURES[machine or platform.machine()])))


def _instructions(here: _Architecture) -> list[_Instruction]:
    made = [
        _Instruction(LOAD, 0, 0, ARCHITECTURE_AT),
        # Another instruction set has other numbers: nothing below would hold.
        *_where(IF_EQUAL, here.audit, unless=True, then=KILL_PROCESS),
        _Instruction(LOAD, 0, 0, CALL_AT),
    ]
    if "fork" in here.refused:
        made += _where(IF_AT_LEAST, X32_CALLS, then=_refuse(errno.EPERM))
    for number in here.refused.values():
        made += _where(IF_EQUAL, number, then=_refuse(errno.EPERM))
    return [
        *made,
        # Its flags are out of a filter's sight; told that it is missing, libraries use clone.
        *_where(IF_EQUAL, CLONE3, then=_refuse(errno.ENOSYS)),
        _Instruction(IF_EQUAL, 1, 0, here.clone),
        _Instruction(RETURN, 0, 0, ALLOW),
        _Instruction(LOAD, 0, 0, FIRST_ARGUMENT_AT),
        *_where(IF_ANY_BIT, CLONE_THREAD, then=ALLOW),
        _Instruction(RETURN, 0, 0, _refuse(errno.EPERM)),
    ]


def _where(test: int, value: int, *, then: int, unless: bool = False) -> list[_Instruction]:
    """End with `then` where the test holds, or where it does not; go on otherwise."""
    skip_true, skip_false = (1, 0) if unless else (0, 1)
    return [_Instruction(test, skip_true, skip_false, value), _Instruction(RETURN, 0, 0, then)]


def _refuse(number: int) -> int:
    return ERRNO | number
