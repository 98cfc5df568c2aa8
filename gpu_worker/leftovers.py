"""What a program that has ended left in its folder."""

import shutil
from pathlib import Path


def has_output(folder: Path) -> bool:
    """Whether any segment has something in it."""
    return any(path.stat().st_size > 0 for path in folder.glob("*.ts"))


def empty(folder: Path) -> None:
    """Remove all of it."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
