"""The steps of an image file without an engine: `python -m tests.deploy.build FILE BASE INTO`.

As root. BASE is a Debian root with Python at /usr/local (debootstrap makes one), in the place of
every FROM.
Each stage is a copy of it below INTO, in which RUN is run by chroot and to which COPY copies; the
last stage is what the image would hold, without the user and the command that a start gives it.
`--carry PATH` lends a file of this machine (pip's configuration, certificates) to the RUN steps.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from tests.deploy.dockerfile import ROOT, Image, Step

SEARCHED = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LENT = ("PIP_CERT", "PIP_INDEX_URL", "PIP_DEFAULT_TIMEOUT", "SSL_", "HTTP_PROXY", "HTTPS_PROXY")
LIMIT_S = 900


class Stage:
    """One root that becomes an image, or gives files to one."""

    def __init__(self, folder: Path, base: Path, carried: list[Path]) -> None:
        self.folder = folder
        self.environ = {"PATH": SEARCHED, "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive"}
        self._carried = carried
        call("cp", "-a", "--reflink=auto", str(base), str(folder))

    def inside(self, path: str) -> Path:
        """A path of the image as one of this machine."""
        return self.folder / path.lstrip("/")

    def copy(self, step: Step, stages: dict[str, "Stage"]) -> None:
        """COPY, from the repository or from another stage."""
        words = [word for word in shlex.split(step.rest) if not word.startswith("--")]
        *sources, to = words
        origin = [flag.removeprefix("--from=") for flag in step.flags if flag.startswith("--from")]
        target = self.inside(to)
        into = to.endswith("/")
        (target if into else target.parent).mkdir(parents=True, exist_ok=True)
        for source in sources:
            path = stages[origin[0]].inside(source) if origin else ROOT / source
            place = target / path.name if into and not path.is_dir() else target
            if path.is_dir():
                shutil.copytree(path, place, symlinks=True, dirs_exist_ok=True, ignore=UNSENT)
            else:
                shutil.copy2(path, place)

    def run(self, command: str) -> None:
        """RUN, with what was lent in its place."""
        own = [self._lend(path, self.inside(str(path))) for path in self._carried]
        environ = {name: value for name, value in os.environ.items() if name.startswith(LENT)}
        pairs = [f"{name}={value}" for name, value in (environ | self.environ).items()]
        call("chroot", str(self.folder), "/usr/bin/env", "-i", *pairs, "sh", "-c", command)
        for path, kept in zip(self._carried, own, strict=True):
            place = self.inside(str(path))
            place.unlink() if kept is None else kept.replace(place)

    @staticmethod
    def _lend(path: Path, place: Path) -> Path | None:
        """Put a file of this machine in its place; where the stage's own is meanwhile."""
        kept = place.rename(place.with_name(f"{place.name}.own")) if place.exists() else None
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, place)
        return kept


UNSENT = shutil.ignore_patterns("__pycache__")


def build(file: Path, base: Path, into: Path, carried: list[Path]) -> Stage:
    """Run every step; the last stage."""
    stages: dict[str, Stage] = {}
    for step in Image(file).steps:
        say(f"{step.word} {' '.join(step.rest.split())[:150]}")
        if step.word == "FROM":
            name = step.rest.split(" AS ")[1] if " AS " in step.rest else "image"
            last = stages[name] = Stage(into / name, base, carried)
        elif step.word == "COPY":
            last.copy(step, stages)
        elif step.word == "RUN":
            last.run(step.rest)
        elif step.word == "ENV":
            pairs = [word.split("=", 1) for word in shlex.split(step.rest)]
            last.environ |= {name: value.replace("$PATH", SEARCHED) for name, value in pairs}
    return last


def call(*argv: str) -> None:
    """Run a program, which must succeed."""
    subprocess.run(argv, check=True, timeout=LIMIT_S)


def size_mib(folder: Path) -> float:
    """Of all that lies in it, on disk."""
    argv = ["du", "--summarize", "--block-size=1K", "--one-file-system", str(folder)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=LIMIT_S)
    return int(done.stdout.split()[0]) / 1024


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Read the arguments and build."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("base", type=Path)
    parser.add_argument("into", type=Path)
    parser.add_argument("--carry", type=Path, action="append", default=[])
    chosen = parser.parse_args()
    chosen.into.mkdir(parents=True, exist_ok=True)
    image = build(chosen.file, chosen.base, chosen.into, chosen.carry)
    whole, base = size_mib(image.folder), size_mib(chosen.base)
    say(f"{image.folder}: {whole:.0f} MiB, of which {base:.0f} MiB are its base")


if __name__ == "__main__":
    main()
