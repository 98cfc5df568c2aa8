"""Holds the service against its own description, at length.

    PYTHONPATH=src:. .venv/bin/python -m tests.contract [EXAMPLES] [SECONDS]

EXAMPLES of each operation (100 unless told otherwise), in four phases: the description's own
examples; the bounds of every parameter; random requests, right and wrong; chains of calls by the
links. With SECONDS, random requests and chains go on until they are over.
"""

import os
import sys

import pytest


def main(argv: list[str]) -> int:
    """The exit code of pytest: 0 where nothing was found."""
    os.environ["CONTRACT_EXAMPLES"] = argv[0] if argv else "100"
    if len(argv) > 1:
        os.environ["CONTRACT_LIMIT_S"] = argv[1]
    return pytest.main(["tests/api/test_contract.py", "-q", "-s", "--timeout", "14400"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
