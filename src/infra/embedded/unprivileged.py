"""PostgreSQL refuses to run as root: who runs it then, and where that user can read and write."""

import asyncio
import os
import pwd
import shutil
import sys
import tempfile
from pathlib import Path

from infra.embedded.supervisor import RunAs

SYSTEM_FOLDER = Path("/var/lib/codex-media")
"""Where `nobody` gets folders of its own when it cannot reach ours, e.g. below /root."""
IN_USER_NAMESPACE = RunAs(prefix=("unshare", "--user", "--map-user=1000", "--map-group=1000", "--"))
"""Root by another name: files are reached as root reaches them, and geteuid() is 1000."""
PROBE_TIMEOUT_S = 5.0


async def choose_user() -> RunAs:
    """Ourselves, unless that is root; then root under a mapped id; then `nobody`."""
    if os.geteuid() != 0:
        return RunAs()
    if sys.platform == "linux" and await _may_enter_user_namespace():
        return IN_USER_NAMESPACE
    return run_as_nobody()


def run_as_nobody() -> RunAs:
    """The user `nobody`, to be dropped to from root."""
    nobody = pwd.getpwnam("nobody")
    return RunAs(user=(nobody.pw_uid, nobody.pw_gid))


async def _may_enter_user_namespace() -> bool:
    """Containers often refuse it, and slim images may lack the program."""
    if shutil.which("unshare") is None:
        return False
    probe = await asyncio.create_subprocess_exec(
        *IN_USER_NAMESPACE.prefix,
        "true",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    return await asyncio.wait_for(probe.wait(), PROBE_TIMEOUT_S) == 0


def folder_for(run_as: RunAs, folder: Path) -> Path:
    """`folder`, made where it is not there, such that `run_as` can write to it.

    For `nobody` behind a folder that it may not enter, `folder` becomes a link to one below
    `SYSTEM_FOLDER`.
    """
    if run_as.user is None or _others_may_enter(folder.parent):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    elif not folder.is_dir():
        _make_system_folder()
        folder.unlink(missing_ok=True)  # a link whose target is gone
        folder.symlink_to(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=SYSTEM_FOLDER))
    if run_as.user is not None:
        os.chown(folder, *run_as.user)
    return folder.resolve()


def programs_for(run_as: RunAs, package: Path, version: str) -> Path:
    """`package`, or a copy of it and its shared libraries that `nobody` can read."""
    if run_as.user is None or _others_may_enter(package):
        return package
    copy = _make_system_folder() / f"{package.name}-{version}"
    if not copy.is_dir():
        unfinished = Path(tempfile.mkdtemp(dir=SYSTEM_FOLDER))
        for source in (package, package.with_name(f"{package.name}.libs")):
            if source.is_dir():
                shutil.copytree(source, unfinished / source.name, symlinks=True)
        unfinished.chmod(0o755)
        _put_in_place(unfinished, copy)
    return copy / package.name


def _put_in_place(unfinished: Path, final: Path) -> None:
    try:
        unfinished.rename(final)
    except OSError:
        if not final.is_dir():
            raise
        shutil.rmtree(unfinished)  # another stack was faster


def _make_system_folder() -> Path:
    SYSTEM_FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
    return SYSTEM_FOLDER


def _others_may_enter(folder: Path) -> bool:
    resolved = folder.resolve()
    return all(path.stat().st_mode & 0o001 for path in (resolved, *resolved.parents))
