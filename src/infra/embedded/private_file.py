"""Files that only their owner can read, whole or not there."""

import os
import tempfile
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Writes `text` to `path` with mode 0600; what was there is replaced in one step."""
    fd, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # 0600 by contract
    try:
        with os.fdopen(fd, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(unfinished).replace(path)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise
