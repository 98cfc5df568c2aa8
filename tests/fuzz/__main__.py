"""Tries many examples of every property in this folder.

    PYTHONPATH=src:. .venv/bin/python -m tests.fuzz [EXAMPLES] [PYTEST ARGUMENT…]

20,000 of each unless told otherwise. What fails is kept in .hypothesis, and tried first next time.
"""

import os
import sys
from pathlib import Path

import pytest

EXAMPLES = 20_000


def main(argv: list[str]) -> int:
    """The exit code of pytest."""
    examples, rest = (argv[0], argv[1:]) if argv and argv[0].isdecimal() else (str(EXAMPLES), argv)
    os.environ["FUZZ_EXAMPLES"] = examples
    folder = str(Path(__file__).parent)
    return pytest.main(
        [folder, "-p", "no:cacheprovider", "--timeout", "3600", "--durations", "0", *rest]
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
