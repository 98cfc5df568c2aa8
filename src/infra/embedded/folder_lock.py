"""The exclusive use of a data folder, by one stack and everything it started."""

import asyncio
import fcntl
import os
from pathlib import Path

from infra.embedded.errors import FolderBusy

DYING_S = 6.0
"""How long the processes of a killed stack may take to go: the tether's grace, and some."""
POLL_S = 0.1


class FolderLock:
    """An flock on `folder/lock`, inherited by every child.

    The kernel keeps it until the last of them has ended: who holds it knows that nothing of an
    earlier stack, killed or not, still writes to the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.fd = -1

    async def acquire(self) -> None:
        """Takes the lock; :class:`FolderBusy` at once when its holder lives, else after 6 s."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            await self._wait_for(fd)
        except BaseException:
            os.close(fd)
            raise
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        self.fd = fd

    def release(self) -> None:
        """Gives the lock back, as far as this process is concerned."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    async def _wait_for(self, fd: int) -> None:
        for _ in range(int(DYING_S / POLL_S)):
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = _holder(fd)
                if holder is not None and _lives(holder):
                    break
                await asyncio.sleep(POLL_S)
            else:
                return
        raise FolderBusy(self._folder, _holder(fd))


def _holder(fd: int) -> int | None:
    text = os.pread(fd, 20, 0).decode("ascii", "replace")
    return int(text) if text.isdigit() else None


def _lives(pid: int) -> bool:
    """Whether the process runs; one that ended and that nobody has reaped yet does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2][:1]
    except OSError:  # no /proc: not Linux
        return True
    return state != b"Z"
