"""What a process logs, as the JSON lines it would write."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gpu_worker.contract_logs import Hiding, JsonLines


class Lines:
    """The lines so far."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    @property
    def text(self) -> str:
        """All of them."""
        return self._stream.getvalue()

    def of(self, logger: str) -> list[dict[str, Any]]:
        """Those that this logger wrote, or one below it."""
        told = map(json.loads, self.text.splitlines())
        return [line for line in told if f"{line['logger']}.".startswith(f"{logger}.")]


@contextmanager
def logged(level: int = logging.INFO) -> Iterator[Lines]:
    """Every line of the block, without the net that hides secrets: none may need it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    nothing_hidden = Hiding()
    nothing_hidden._signs = ()
    handler.setFormatter(JsonLines("serve", nothing_hidden))
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(level)
    try:
        yield Lines(stream)
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
