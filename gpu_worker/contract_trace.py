"""Which trace the work at hand belongs to (W3C Trace Context, level 1), on both sides of the wire.

A request, a loop's step and a job each are a span; what they cause elsewhere gets their
`traceparent`. Who sends none has a trace begun here, which is given up for that of the item as soon
as the item is known: so everything about one upload is in one trace, whoever asked for it.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from random import getrandbits
from typing import NamedTuple

HEADER = "traceparent"
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16


class Trace(NamedTuple):
    """A span: the trace it is in, its own id, and that of the span that caused it, all in hex."""

    trace_id: str
    span_id: str
    parent_id: str = ""
    """Empty for the first one of a trace."""
    sampled: bool = True
    begun_here: bool = False
    """Nobody else knows of this trace yet."""

    @property
    def traceparent(self) -> str:
        """This span as the header names it."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


CURRENT: ContextVar[Trace | None] = ContextVar("trace", default=None)
"""The span of the work at hand: read it by `current`, set it by `tracing` where that is enough."""


def parse(traceparent: str | None) -> Trace | None:
    """The span that a header names; None for one that is absent or malformed."""
    found = _TRACEPARENT.fullmatch(traceparent or "")
    if found is None or found[1] == _NO_TRACE or found[2] == _NO_SPAN:
        return None
    return Trace(found[1], found[2], sampled=bool(int(found[3], 16) & 1))


def below(traceparent: str | None) -> Trace:
    """A new span caused by the one named; the first of a new trace where none is."""
    parent = parse(traceparent) if traceparent else None
    if parent is None:
        return Trace(f"{getrandbits(128):032x}", _span_id(), begun_here=True)
    return Trace(parent.trace_id, _span_id(), parent.span_id, parent.sampled)


def _span_id() -> str:
    return f"{getrandbits(64):016x}"


def current() -> Trace | None:
    """The span of the work at hand."""
    return CURRENT.get()


@contextmanager
def tracing(trace: Trace) -> Iterator[Trace]:
    """What is done inside belongs to `trace`."""
    token = CURRENT.set(trace)
    try:
        yield trace
    finally:
        CURRENT.reset(token)


def go_on(traceparent: str | None) -> None:
    """The work at hand is about an item with this trace: go on with it.

    Nothing changes where the trace came from outside, or there is none to go on with.
    """
    now, known = CURRENT.get(), parse(traceparent)
    if now is not None and now.begun_here and known is not None:
        CURRENT.set(Trace(known.trace_id, now.span_id, known.span_id, known.sampled))
