"""Each layer alone stops a hostile file that ffmpeg obeys: the whitelists are off in here."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gpu_worker import sandbox, watch
from gpu_worker.errors import IsolationMissing, JobFailed, ProcessFailed
from gpu_worker.process import Limits, run
from gpu_worker.sandbox import UNCONFINED, Room, Wanted, choose
from gpu_worker.tools import Tools
from tests.gpu_worker.clips import Clips
from tests.gpu_worker.hostile.planted import calling, obey, reading
from tests.gpu_worker.layers import NEEDS_TCP_RULES, alone, chosen
from tests.gpu_worker.listener import listening

LIMITS = Limits(wall_s=20, cpu_s=20, file_bytes=1024**2)


async def test_without_any_layer_both_attacks_succeed(
    tools: Tools, clips: Clips, tmp_path: Path
) -> None:
    assert await obey(tools, UNCONFINED, reading(tmp_path, clips.silent.read_bytes()))
    with listening() as listener:
        await obey(tools, UNCONFINED, calling(tmp_path, listener.url))
    assert listener.calls


@pytest.mark.parametrize("layer", ["bubblewrap", "seccomp", "landlock"])
async def test_each_layer_alone_keeps_ffmpeg_from_calling(
    tools: Tools, tmp_path: Path, layer: str
) -> None:
    layers = alone(layer)
    if 0 < layers.landlock < NEEDS_TCP_RULES:
        pytest.skip(f"Landlock ABI {layers.landlock} has no rules for TCP")
    with listening() as listener:
        await obey(tools, layers, calling(tmp_path, listener.url))
    assert listener.calls == 0


@pytest.mark.parametrize("layer", ["bubblewrap", "landlock"])
async def test_each_layer_of_files_alone_keeps_ffmpeg_from_its_neighbours(
    tools: Tools, clips: Clips, tmp_path: Path, layer: str
) -> None:
    assert not await obey(tools, alone(layer), reading(tmp_path, clips.silent.read_bytes()))


ATTACKS = """
import ctypes, json, os, socket, sys
secret, kept = sys.argv[1:]
def refused(attack):
    try:
        attack()
    except OSError:
        return True
    return False
def write(path):
    with open(path, "w") as file:
        file.write("mine")
def fork():
    if os.fork() == 0:
        os._exit(0)
def io_uring():
    if ctypes.CDLL(None).syscall(425, 8, ctypes.create_string_buffer(120)) < 0:
        raise OSError
def clone3():
    arguments = (ctypes.c_uint64 * 11)()
    arguments[4] = 17  # the signal that tells of its end
    made = ctypes.CDLL(None).syscall(435, arguments, 88)
    if made == 0:
        os._exit(0)
    if made < 0:
        raise OSError
print(json.dumps({
    "read another's file": refused(lambda: open(secret).read()),
    "see a file": refused(lambda: os.stat(secret) and os.listdir(os.path.dirname(secret))),
    "read the worker's variables": refused(lambda: open(f"/proc/{os.getppid()}/environ").read()),
    "read accounts": refused(lambda: open("/etc/passwd").read()),
    "write beside": refused(lambda: write(os.path.join(os.path.dirname(secret), "new"))),
    "change the input": refused(lambda: write(kept)),
    "plant a link": refused(lambda: os.symlink("/proc/self/environ", "1080p_000.ts")),
    "open a socket": refused(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()),
    "open a local socket": refused(lambda: socket.socket(socket.AF_UNIX).close()),
    "open a pair": refused(lambda: socket.socketpair()),
    "open netlink": refused(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close()),
    "open a ring": refused(io_uring),
    "start a process": refused(fork),
    "start one otherwise": refused(clone3),
    "kill the worker": refused(lambda: os.kill(os.getppid(), 0)),
}))
write("work")
"""


@pytest.mark.parametrize("wanted", ["bubblewrap", "landlock"])
async def test_code_that_runs_inside_reaches_nothing_and_works_in_its_folder(
    tmp_path: Path, wanted: Wanted
) -> None:
    layers = chosen(wanted)
    secret, folder = tmp_path / "secret", tmp_path / "job"
    kept = tmp_path / "input"
    secret.write_text("another creator's")
    kept.write_text("ours")
    folder.mkdir()
    argv = [sys.executable, "-I", "-S", "-c", ATTACKS, str(secret), str(kept)]
    room = Room(folder, (kept,), writes=True)
    done = await run(argv, sandbox=layers, room=room, limits=LIMITS)
    reached = {attack for attack, refused in json.loads(done.stdout).items() if not refused}
    if layers.bubblewrap:  # there its parent is bubblewrap's, and sees nothing of ours
        reached -= {"read the worker's variables", "kill the worker"}
    elif layers.landlock < 6:
        reached -= {"kill the worker"}
    assert not reached
    assert kept.read_text() == "ours"
    assert (folder / "work").read_text() == "mine"


@pytest.mark.parametrize("wanted", ["bubblewrap", "landlock", "optional"])
async def test_a_program_may_not_use_more_memory_than_it_is_given(
    tmp_path: Path, wanted: Wanted
) -> None:
    layers = replace(chosen(wanted), memory_bytes=200 * 1024**2)
    hoard = [sys.executable, "-I", "-S", "-c", "bytearray(900 * 1024**2)"]
    with pytest.raises(ProcessFailed, match="MemoryError"):
        await run(hoard, sandbox=layers, room=Room(tmp_path), limits=LIMITS)
    # That much is its data; shared memory is nobody's, and the watch finds it.
    sharing = (
        "import mmap, time; shared = mmap.mmap(-1, 300 * 1024**2)\n"
        "for at in range(0, len(shared), 4096): shared[at] = 1\n"
        "time.sleep(60)"
    )
    hoard[-1] = sharing
    with pytest.raises(JobFailed, match="input_too_large"):
        await run(hoard, sandbox=layers, room=Room(tmp_path), limits=LIMITS)


async def test_the_files_of_a_folder_may_not_be_more_than_is_allowed_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filling = (
        "import time\nfor n in range(9): open(str(n), 'wb').write(bytes(900_000))\ntime.sleep(60)"
    )
    argv = [sys.executable, "-I", "-S", "-c", filling]
    room, limits = Room(tmp_path, writes=True), replace(LIMITS, folder_bytes=5_000_000)
    with pytest.raises(JobFailed, match="input_too_large"):
        await run(argv, sandbox=chosen("optional"), room=room, limits=limits)
    argv[-1] = filling.replace("60", "0")
    monkeypatch.setattr(watch, "POLL_S", 30)  # it ends unseen
    (tmp_path / "new").mkdir()
    room = Room(tmp_path / "new", writes=True)
    with pytest.raises(JobFailed, match="input_too_large"):
        await run(argv, sandbox=chosen("optional"), room=room, limits=limits)


@pytest.mark.parametrize(
    ("works", "wanted", "given"),
    [
        (("/bin/bwrap", True, 7), "auto", "bubblewrap + seccomp"),
        (("/bin/bwrap", True, 7), "landlock", "seccomp + Landlock ABI 7"),
        (("/bin/bwrap", False, 0), "auto", "bubblewrap"),
        ((None, True, 1), "auto", "seccomp + Landlock ABI 1"),
        ((None, True, 0), "optional", "seccomp"),
        ((None, False, 0), "optional", "nothing"),
        ((None, True, 0), "auto", None),
        ((None, False, 7), "auto", None),
        ((None, True, 7), "bubblewrap", None),
        (("/bin/bwrap", False, 7), "landlock", None),
    ],
)
def test_what_works_is_used_and_too_little_is_refused(
    monkeypatch: pytest.MonkeyPatch, works: object, wanted: Wanted, given: str | None
) -> None:
    monkeypatch.setattr(sandbox, "working", lambda: works)
    if given is None:
        with pytest.raises(IsolationMissing, match="ISOLATION=optional"):
            choose(wanted, None)
    else:
        assert str(choose(wanted, None)) == given
