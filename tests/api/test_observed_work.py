"""What `work` answers beside its work."""

import httpx
from prometheus_client.parser import text_string_to_metric_families

from api.observed_work import answering, create_work_app
from infra.embedded.ports import free_port
from infra.loops import LOOPS, STUCK_S, Pulse
from infra.settings import load
from tests.infra.embedded.processes import eventually
from tests.infra.variables import ENVIRON


async def test_a_loop_that_is_stuck_makes_livez_answer_503() -> None:
    now = 0.0
    pulse = Pulse(lambda: now)
    app = httpx.ASGITransport(create_work_app(pulse))
    async with httpx.AsyncClient(transport=app, base_url="http://work") as http:
        now = STUCK_S
        assert (await http.get("/livez")).text == "ok"
        for loop in LOOPS[1:]:
            pulse.beat(loop.name)
        now += 1
        answer = await http.get("/livez")
    assert (answer.status_code, answer.text) == (503, f"stuck: {LOOPS[0].name}")


async def test_it_answers_where_settings_say_and_only_then() -> None:
    port = free_port()
    settings = load(ENVIRON | {"METRICS_PORT": str(port)})
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:

        async def answers() -> bool:
            try:
                return (await http.get("/livez")).is_success
            except httpx.ConnectError:
                return False

        async with answering(settings.model_copy(update={"metrics_port": None}), Pulse()):
            assert not await answers()
        async with answering(settings, Pulse()):
            assert await eventually(answers, 5)
            told = (await http.get("/metrics")).text
        assert not await answers()
    names = {family.name for family in text_string_to_metric_families(told)}
    assert "codex_media_loop_steps" in names
    assert "codex_media_items_overdue" not in names, "the database's are told by `serve`"
