"""Lines of the logs: whole, in one form, and without secrets."""

import asyncio
import io
import json
import logging
from typing import Any

import pytest

from gpu_worker.callback import ProgressBoard, StageClock
from gpu_worker.contract_logs import (
    HIDDEN,
    Hiding,
    JsonLines,
    TextLines,
    apart,
    bind,
    bound,
    formatter,
)
from gpu_worker.contract_trace import Trace, below, current, go_on, parse, tracing

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01"
TOKEN = f"webhook.{'a' * 32}.1.1700000000.k1.{'m' * 43}"


def record(message: str = "done", **more: Any) -> logging.LogRecord:
    made = logging.LogRecord("gpu_worker.x", logging.INFO, __file__, 1, message, (), None)
    vars(made).update(more)
    return made


def line(message: str = "done", **more: Any) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(JsonLines("worker", Hiding()).format(record(message, **more)))
    return told


def test_a_line_is_one_json_object_whatever_was_said() -> None:
    text = JsonLines("worker", Hiding()).format(record('a "b"\nc\u2028 \udcff'))
    assert "\n" not in text
    told = json.loads(text)
    assert told["message"] == 'a "b"\nc\u2028 \udcff'
    assert (told["level"], told["part"], told["logger"]) == ("INFO", "worker", "gpu_worker.x")
    assert told["time"].endswith("Z")


async def test_what_is_bound_goes_along_into_tasks_and_ends_with_its_block() -> None:
    async def below_it() -> dict[str, Any]:
        return line()

    with bound(media_id="m", attempt=1):
        bind(job_id="j")
        told = await asyncio.create_task(below_it())
    assert [told[name] for name in ("media_id", "attempt", "job_id")] == ["m", 1, "j"]
    assert not {"media_id", "attempt", "job_id"} & line().keys()


async def test_a_task_for_everybody_has_nobody_s_fields() -> None:
    async def below_it() -> dict[str, Any]:
        return line()

    with bound(media_id="m"), tracing(below(GOOD)):
        told = await asyncio.create_task(below_it(), context=apart())
        assert line()["media_id"] == "m"
    assert not {"media_id", "trace_id"} & told.keys()


def test_the_trace_is_told() -> None:
    with tracing(below(GOOD)) as span:
        told = line()
    assert (told["trace_id"], told["span_id"]) == (TRACE, span.span_id)
    assert span.parent_id == SPAN


def test_an_exception_is_a_field() -> None:
    with pytest.raises(ValueError, match="webhook") as broke:
        int(TOKEN)
    told = line("broke", exc_info=broke._excinfo)
    assert "ValueError" in told["exception"]
    assert TOKEN not in str(told)


SECRET = 'quo"ted\\secret'


@pytest.mark.parametrize("form", [JsonLines, TextLines])
@pytest.mark.parametrize(
    "secret",
    [
        SECRET,
        TOKEN,
        f"play.{'0' * 32}.2.17.k2.{'-_' * 20}",
        "whsec_c2VjcmV0LXNlY3JldA==",
        "Bearer rpa_0123456789",
        "X-Amz-Signature=0123456789abcdef",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl",
    ],
)
def test_a_secret_that_slips_in_is_hidden(form: type[JsonLines], secret: str) -> None:
    with bound(about=f"x {secret} y"):
        text = form("serve", Hiding([SECRET, "short", ""])).format(record(f"at /a/{secret}/b"))
    assert secret.removeprefix("Bearer ") not in text
    assert json.dumps(secret)[1:-1] not in text
    assert text.count(HIDDEN) == 2
    assert "short" not in Hiding(["short"])._pattern.pattern


def test_text_has_the_same_fields() -> None:
    with bound(media_id="m"):
        text = TextLines("serve", Hiding()).format(record(fields={"status": 200}))
    assert text.endswith("INFO gpu_worker.x: done media_id=m status=200")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_people_get_text_and_programs_json_unless_told_otherwise() -> None:
    assert isinstance(formatter("serve", "auto", Terminal(), ()), TextLines)
    assert isinstance(formatter("serve", "auto", io.StringIO(), ()), JsonLines)
    assert isinstance(formatter("serve", "json", Terminal(), ()), JsonLines)
    assert isinstance(formatter("serve", "text", io.StringIO(), ()), TextLines)


@pytest.mark.parametrize(
    "bad",
    [
        None,
        "",
        "nonsense",
        GOOD.upper(),
        GOOD[:-1],
        f"{GOOD}-more",
        f"ff{GOOD[2:]}",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"{GOOD}\n",
    ],
)
def test_a_malformed_traceparent_is_none(bad: str | None) -> None:
    assert parse(bad) is None
    assert below(bad).begun_here


def test_a_span_below_another_is_in_its_trace() -> None:
    unsampled = f"00-{TRACE}-{SPAN}-00"
    span = below(unsampled)
    assert span.traceparent == f"00-{TRACE}-{span.span_id}-00"
    assert parse(span.traceparent) == Trace(TRACE, span.span_id, sampled=False)


def test_an_item_s_trace_is_gone_on_with_unless_one_came_from_outside() -> None:
    with tracing(below(None)) as mine:
        go_on(None)
        assert current() == mine
        go_on(GOOD)
        found = current()
        assert found is not None
        assert (found.trace_id, found.parent_id, found.span_id) == (TRACE, SPAN, mine.span_id)
        go_on(f"00-{'b' * 32}-{SPAN}-01")
        assert current() == found, "the first item's"
    with tracing(below(GOOD)) as given:
        go_on(f"00-{'b' * 32}-{SPAN}-01")
        assert current() == given
    go_on(GOOD)
    assert current() is None


def test_stages_are_timed_one_after_the_other() -> None:
    now = 0.0
    clock = StageClock(lambda: now)
    for stage, at_s in (("download", 1.0), ("probe", 3.0), ("encode", 4.0), ("encode", 9.0)):
        now = at_s
        clock.enter(stage)  # type: ignore[arg-type]  # they are stages
    now = 14.0
    assert clock.seconds() == {"download": 3.0, "probe": 1.0, "encode": 10.0}


def test_progress_tells_the_clock_of_every_stage() -> None:
    board = ProgressBoard()
    for stage in ("download", "probe", "encode", "upload"):
        board.update(stage, 0.5)  # type: ignore[arg-type]  # they are stages
    assert list(board.clock.seconds()) == ["download", "probe", "encode", "upload"]
