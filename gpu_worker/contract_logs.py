"""The lines that service and worker log: the same fields on both sides, in JSON or as text.

Standard library alone: every library logs that way, and so the lines of all have the same form.
What is bound goes along with every line below, through tasks and threads, until the block's end.
"""

import json
import logging
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, TextIO

from gpu_worker.contract_trace import CURRENT, current

LogFormat = Literal["auto", "json", "text"]
"""`auto`: text on a terminal, JSON everywhere else."""
HIDDEN = "[hidden]"
SHORTEST_SECRET = 8
"""A shorter one would be found in words that are none."""
TELLTALES = ("httpx", "httpcore", "botocore", "aiobotocore", "urllib3", "asyncpg")
"""They log addresses, headers or statements when asked to: tokens and signatures are in those."""
_SECRETS = {
    "webhook.": r"webhook\.[0-9a-f]{32}\.[A-Za-z0-9_.-]+",
    "play.": r"play\.[0-9a-f]{32}\.[A-Za-z0-9_.-]+",
    "whsec_": r"whsec_[A-Za-z0-9+/=]+",
    "eyJ": r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+",
    "X-Amz-Signature=": r"X-Amz-Signature=[0-9A-Fa-f]+",
    "Bearer ": r"Bearer [A-Za-z0-9._~+/=-]+",
}
"""Capabilities in URLs, webhook secrets, JWTs, presigned URLs, keys in headers: what begins one,
and all of it."""

BOUND: ContextVar[Mapping[str, object]] = ContextVar("log_fields", default=MappingProxyType({}))
"""What goes along with a line; `bound` sets it, where that is enough."""
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode


def fields() -> Mapping[str, object]:
    """What goes along with a line logged here."""
    return BOUND.get()


def bind(**more: object) -> None:
    """Let every line up to the end of the enclosing `bound` have these fields too."""
    BOUND.set({**BOUND.get(), **more})


@contextmanager
def bound(**more: object) -> Iterator[None]:
    """Every line logged inside has these fields too."""
    token = BOUND.set({**BOUND.get(), **more})
    try:
        yield
    finally:
        BOUND.reset(token)


def apart() -> Context:
    """A context for a task that goes on for others: this one's, without fields and trace."""
    context = copy_context()
    context.run(BOUND.set, {})
    context.run(CURRENT.set, None)
    return context


class Hiding:
    """Takes secrets out of lines: a second net, under the rule that none is logged."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        own = {form for secret in secrets for form in (secret, _encode(secret)[1:-1])}
        known = sorted((each for each in own if len(each) >= SHORTEST_SECRET), key=len)
        self._signs = (*_SECRETS, *known)
        whole = [*map(re.escape, reversed(known)), *_SECRETS.values()]
        self._pattern = re.compile("|".join(whole))

    def __call__(self, text: str) -> str:
        """`text` without what must not be told."""
        # Nearly every line is without any, which this finds out ten times as fast.
        if not any(sign in text for sign in self._signs):
            return text
        return self._pattern.sub(HIDDEN, text)


class LineFormatter(logging.Formatter):
    """Base of both forms: what a line consists of."""

    def __init__(self, part: str, hide: Hiding) -> None:
        super().__init__()
        self._part = part
        self._hide = hide

    def parts(self, record: logging.LogRecord) -> dict[str, object]:
        """The fields beside time, level, logger and message."""
        trace = current()
        traced = {"trace_id": trace.trace_id, "span_id": trace.span_id} if trace else {}
        return {**BOUND.get(), **traced, **getattr(record, "fields", {})}

    def cause(self, record: logging.LogRecord) -> str:
        """The traces of exceptions and stacks; empty without any."""
        cause = self.formatException(record.exc_info) if record.exc_info else ""
        return cause + (self.formatStack(record.stack_info) if record.stack_info else "")


class JsonLines(LineFormatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "time": _moment(record),
            "level": record.levelname,
            "part": self._part,
            "logger": record.name,
            "message": record.getMessage(),
            **self.parts(record),
        }
        if cause := self.cause(record):
            line["exception"] = cause
        return self._hide(_encode(line))


class TextLines(LineFormatter):
    """What a person reads on a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and those of an exception below it."""
        more = "".join(f" {name}={value}" for name, value in self.parts(record).items())
        head = f"{_moment(record)} {record.levelname} {record.name}: {record.getMessage()}{more}"
        cause = self.cause(record)
        return self._hide(f"{head}\n{cause}" if cause else head)


def _moment(record: logging.LogRecord) -> str:
    return f"{_second(int(record.created))}.{int(record.msecs):03d}Z"


@lru_cache(maxsize=2)
def _second(since_1970: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(since_1970))


def formatter(part: str, form: LogFormat, stream: TextIO, secrets: Iterable[str]) -> LineFormatter:
    """Lines of `part` in the form that `form` means on `stream`."""
    in_json = form == "json" or (form == "auto" and not stream.isatty())
    return (JsonLines if in_json else TextLines)(part, Hiding(secrets))


def configure(part: str, level: str, form: LogFormat, secrets: Iterable[str] = ()) -> None:
    """Log to stderr as `part` of the whole: `serve`, `work` or `worker`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(part, form, sys.stderr, secrets))
    # By force: RunPod's SDK sets up lines of its own as soon as it is imported.
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # What no line tells need not be found out (docs.python.org, "Logging HOWTO", Optimization).
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    for name in TELLTALES:
        logging.getLogger(name).setLevel(logging.WARNING)
