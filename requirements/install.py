"""Makes `.venv` from a lock: run by `./codex-media` when its stamp is missing or out of date.

    python3 -I requirements/install.py SET SUM

SET names the lock (`local` or `all`), SUM is what the launcher will compare next time. Standard
library only. The stamp is written last, so whatever fails half-way is done again from the top.
"""

import contextlib
import fcntl
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
TOOLS = ROOT / ".tools"
STAMP = VENV / ".codex-media-stamp"
PYTHON = VENV / "bin" / "python"
UV_LOCK = ROOT / "requirements" / "uv.txt"

NEEDED_BYTES = {"local": 1_200_000_000, "all": 1_600_000_000}
STEP_TIMEOUT_S = 900


class SetupFailed(Exception):
    """The environment could not be made. The text says why, and what to do about it."""


class StepFailed(Exception):
    """One command failed; `output` is everything it printed."""

    def __init__(self, argv: list[str], output: str) -> None:
        self.output = output
        super().__init__(f"{Path(argv[0]).name} failed:\n{output.strip()[-2000:]}")


def main(lock: str, checksum: str) -> None:
    """Brings `.venv` to the state that `lock` and `checksum` describe, unless it is there."""
    wanted = f"{lock} {checksum}\n"
    with only_one_at_a_time():
        if STAMP.is_file() and STAMP.read_text() in (wanted, f"all {checksum}\n"):
            return
        started = time.monotonic()
        require_venv_module()
        require_space(lock)
        say(f"Setting up in {VENV} (once, usually under a minute) …")
        STAMP.unlink(missing_ok=True)
        install(ROOT / "requirements" / f"{lock}.txt")
        write_stamp(wanted)
        say(f"Set up in {time.monotonic() - started:.0f} s.")


def install(lock: Path) -> None:
    """The packages of `lock`, by uv or, where uv cannot, by pip; then this project."""
    try:
        uv = ready_uv()
        sync_with_uv(uv, lock)
        tool = [str(uv), "pip", "install", "--python", str(PYTHON)]
    except StepFailed as failure:
        refuse_if_full(failure)
        say(f"uv could not install ({cause(failure)}); trying pip, which is slower …")
        install_with_pip(lock)
        tool = [str(PYTHON), "-m", "pip", "install"]
    say("  codex-media itself …")
    # Its build tools are in the lock: nothing is fetched here, and nothing unpinned runs.
    project = ["--quiet", "--no-deps", "--no-build-isolation", "-e", str(ROOT)]
    run([*tool, *project], clean_environ(os.environ))


def ready_uv() -> Path:
    """The uv that `uv.txt` pins, in `.tools`, installed when it is not there."""
    uv, stamp = TOOLS / "bin" / "uv", TOOLS / ".uv.txt"
    if uv.is_file() and stamp.is_file() and stamp.read_bytes() == UV_LOCK.read_bytes():
        return uv
    say("  the installer, uv …")
    make_venv(TOOLS)
    pip_install(TOOLS / "bin" / "python", "--require-hashes", "-r", str(UV_LOCK))
    shutil.copyfile(UV_LOCK, stamp)
    return uv


def sync_with_uv(uv: Path, lock: Path) -> None:
    """Makes `.venv` hold exactly what `lock` names, trusting the system's certificates first (a
    company's proxy is there), then uv's own (a slim image has none)."""
    say(f"  the packages of requirements/{lock.name} …")
    env = uv_environ(os.environ)
    if not venv_works():
        remove(VENV)
        run([str(uv), "venv", "--quiet", "--python", sys.executable, str(VENV)], env)
    sync = [str(uv), "pip", "sync", "--quiet", "--python", str(PYTHON), "--require-hashes"]
    try:
        run([*sync, str(lock)], env | {"UV_SYSTEM_CERTS": "true"})
    except StepFailed as failure:
        if "certificate" not in failure.output.lower():
            raise
        run([*sync, str(lock)], env)


def install_with_pip(lock: Path) -> None:
    """From an empty `.venv`, because pip does not remove what a lock no longer names."""
    try:
        make_venv(VENV)
        pip_install(PYTHON, "--require-hashes", "-r", str(lock))
    except StepFailed as failure:
        refuse_if_full(failure)
        raise SetupFailed(
            f"{failure}\n\nThe packages could not be installed. Is a package index within reach? "
            "A mirror or a proxy is set for pip and uv alike with PIP_INDEX_URL and HTTPS_PROXY."
        ) from failure


def make_venv(folder: Path) -> None:
    remove(folder)
    run([sys.executable, "-I", "-m", "venv", str(folder)], clean_environ(os.environ))


def pip_install(python: Path, *arguments: str) -> None:
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    run([*pip, *arguments], clean_environ(os.environ))


def clean_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` without what would send an installation elsewhere than into our folder."""
    elsewhere = {"PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "VIRTUAL_ENV"}
    return {name: value for name, value in environ.items() if name not in elsewhere}


def uv_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` for uv; where pip is told to use another index, uv, which reads no pip.conf, is
    told the same."""
    env = clean_environ(environ)
    if "UV_DEFAULT_INDEX" not in env and (index := pip_index_url()):
        env["UV_DEFAULT_INDEX"] = index
    return env


def pip_index_url() -> str | None:
    """The index that pip.conf or PIP_INDEX_URL names, if any."""
    pip = [str(TOOLS / "bin" / "python"), "-m", "pip", "config", "get", "global.index-url"]
    configured = os.environ.get("PIP_INDEX_URL")
    if configured:
        return configured
    with contextlib.suppress(StepFailed):  # pip fails when the setting is absent
        return run(pip, clean_environ(os.environ)).strip() or None
    return None


def venv_works() -> bool:
    """Whether `.venv` has a Python that starts, is new enough, and lives in this folder."""
    code = "import json, sys; print(json.dumps([sys.prefix, sys.version_info >= (3, 11)]))"
    try:
        output = run([str(PYTHON), "-I", "-c", code], clean_environ(os.environ))
    except StepFailed:
        return False
    return bool(json.loads(output) == [str(VENV), True])


def run(argv: list[str], env: Mapping[str, str]) -> str:
    """The output of `argv`; :class:`StepFailed` when it fails or takes over 15 minutes."""
    try:
        done = subprocess.run(
            argv,
            env=env,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=STEP_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StepFailed(argv, str(error)) from error
    if done.returncode != 0:
        raise StepFailed(argv, done.stdout)
    return done.stdout


def require_venv_module() -> None:
    """Debian splits what `python3 -m venv` needs into a package of its own."""
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise SetupFailed(
            f"{sys.executable} cannot make virtual environments. On Debian or Ubuntu:\n"
            f"    sudo apt install python{version}-venv"
        )


def require_space(lock: str) -> None:
    have = shutil.disk_usage(ROOT).free
    if have < NEEDED_BYTES[lock] and not PYTHON.exists():
        raise SetupFailed(
            f"The disk that holds {ROOT} has {have / 1e9:.1f} GB free; the set-up needs "
            f"{NEEDED_BYTES[lock] / 1e9:.1f} GB."
        )


def refuse_if_full(failure: StepFailed) -> None:
    """A full disk does not get better by trying again with pip."""
    if "No space left on device" in failure.output:
        raise SetupFailed(f"The disk is full. Make room, then start again.\n{failure}")


def cause(failure: StepFailed) -> str:
    """The most telling line of a failed command: uv and pip end a chain of causes with it."""
    lines = [line.strip() for line in failure.output.splitlines() if line.strip()]
    causes = [line for line in lines if not line.startswith("hint:")]
    return causes[-1] if causes else "it said nothing"


def remove(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


def write_stamp(text: str) -> None:
    unfinished = STAMP.with_suffix(".new")
    unfinished.write_text(text)
    unfinished.replace(STAMP)


@contextlib.contextmanager
def only_one_at_a_time() -> Iterator[None]:
    """An flock on the project's folder: the kernel drops it with its holder, so it cannot go
    stale, and it leaves no file behind."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another set-up is running in this folder; waiting for it …")
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def say(text: str) -> None:
    """To stderr: stdout belongs to the command that follows."""
    print(f"codex-media: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (SetupFailed, StepFailed, OSError) as error:
        say(str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        say("Set-up interrupted; the next start does it again.")
        sys.exit(130)
