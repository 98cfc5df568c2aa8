"""The ceiling: one row, one statement, one commit. Measured in C and through asyncpg."""

import asyncio
import re
from pathlib import Path

import asyncpg

from bench.contenders import lives_per_second
from bench.database import Server

TABLE = "CREATE TABLE one_row (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text)"
BODY = "0123456789" * 4
SCRIPT = f"INSERT INTO one_row (body) VALUES ('{BODY}');\n"  # noqa: S608 - our own text
INSERT = "INSERT INTO one_row (body) VALUES ($1)"
THREADS = 2


class Pgbench:
    """A script run by pgbench, its statements prepared."""

    def __init__(
        self, server: Server, database: str, folder: Path, script: str = SCRIPT, each: int = 1
    ) -> None:
        """`each`: what one run of the script counts."""
        self._server = server
        self._database = database
        self._each = each
        self._script = folder / f"{database}.sql"
        self._script.write_text(script)

    async def rate(self, callers: int, seconds: float) -> float:
        """What the script does, per second; pgbench runs whole seconds."""
        flags = ["-n", "-M", "prepared", "-c", str(callers), "-j", str(min(callers, THREADS))]
        flags += ["-T", str(max(1, round(seconds))), "-f", str(self._script), self._database]
        process = await asyncio.create_subprocess_exec(
            *self._server.pgbench(*flags), stdout=asyncio.subprocess.PIPE
        )
        output, _ = await asyncio.wait_for(process.communicate(), seconds + 30)
        found = re.search(rb"^tps = ([0-9.]+)", output, re.MULTILINE)
        if process.returncode or found is None:
            raise RuntimeError(f"pgbench ended with {process.returncode}")
        return self._each * float(found[1])


class AsyncpgInsert:
    """The same insert through asyncpg: what any store in Python is up against."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    async def rate(self, callers: int, seconds: float) -> float:
        """Rows per second, a connection for each caller."""
        async with asyncpg.create_pool(self._dsn, min_size=callers, max_size=callers) as pool:
            return await lives_per_second(callers, seconds, lambda _: pool.execute(INSERT, BODY))
