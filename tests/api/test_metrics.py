"""The figures by which an operator sees trouble."""

from uuid import uuid4

from prometheus_client.parser import text_string_to_metric_families

from domain.ports import Breaker, Channel
from infra.bootstrap import Services
from infra.embedded.ports import free_port
from infra.figures.database import FIGURES, Measured, measure
from infra.figures.exposition import of_service
from infra.figures.figure import PREFIX
from infra.figures.process import COUNTS
from infra.loops import check_once, sweep_once
from infra.settings import Settings, load
from tests import factories as f
from tests.api.service import Service, running
from tests.infra import lives
from tests.infra.left_to_do import waiting
from tests.infra.lives import live

Found = dict[tuple[str, str], float]


async def figures(services: Services) -> Found:
    """Every sample by figure and label."""
    return {(name, label): value for name, label, value in await measure(services.pool)}


async def test_a_service_at_rest_has_nothing_to_tell(services: Services) -> None:
    await check_once(services)
    found = await figures(services)
    assert found.pop(("projection_check_age_seconds", "")) < 10
    assert set(found.values()) == {0.0}


async def test_each_figure_tells_its_own_trouble(services: Services) -> None:
    await live(services.store, waiting(-120))
    await services.breakers.trip(Breaker.BUCKET, "it refused a worker")
    await services.desk.take_in(Channel.RUNPOD, "m1", f.MEDIA_ID, 1, b"{}")
    await services.pool.execute(
        "INSERT INTO webhook_inbox (channel, message_id, body, verdict)"
        " VALUES ('worker', 'm2', '', 'quarantined')"
    )
    await services.pool.execute("UPDATE outbox SET created_at = created_at - interval '1 hour'")
    found = await figures(services)
    assert found["items_pending", "transcoding"] == 1
    assert 0 < found["items_pending_oldest_seconds", "transcoding"] < 60
    assert found["items_overdue", ""] == 1
    assert found["outbox_waiting", ""] == 1
    assert 3600 <= found["outbox_oldest_seconds", ""] < 3700
    assert found["inbox_waiting", ""] == 1
    assert found["inbox_quarantined", ""] == 1
    assert found["breaker_tripped", "bucket"] == 1
    assert found["ledger_unsealed", ""] == 3
    await sweep_once(services)
    assert (await figures(services))["items_overdue", ""] == 0


async def test_a_row_that_was_tampered_with_is_told(services: Services) -> None:
    await live(services.store, lives.READY)
    await services.pool.execute("RESET ROLE; UPDATE media_items SET width = width + 1")
    await check_once(services)
    assert (await figures(services))["projection_mismatches", ""] == 1


async def test_events_that_no_checkpoint_covers_age(settings: Settings, services: Services) -> None:
    await live(services.store, lives.READY)
    await services.sealer.seal_once()
    assert (await figures(services))["checkpoint_age_seconds", ""] == 0
    await live(services.store, lives.REGISTERED, uuid4())
    await services.sealer.seal_once()  # not signed yet: the last one is too young
    assert (await figures(services))["checkpoint_age_seconds", ""] >= 0
    assert (await figures(services))["ledger_unsealed", ""] == 0


async def test_metrics_are_served_in_prometheus_form(settings: Settings) -> None:
    async with running(settings) as service:
        answer = await service.http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name for family in text_string_to_metric_families(answer.text)}
    known = {PREFIX + each.name.removesuffix("_total") for each in (*FIGURES, *COUNTS)}
    assert families == known


async def test_f08_refused_webhooks_are_counted_by_their_channel(settings: Settings) -> None:
    async with running(settings) as service:
        before = await refused(service)
        for path in ("", "/a.b.c", "/none"):
            answer = await service.http.post(f"/api/transcoding/webhook{path}", content=b"{}")
            assert answer.status_code == 401
        after = await refused(service)
    assert {channel: after[channel] - before.get(channel, 0) for channel in after} == {
        "worker": 1,
        "runpod": 2,
    }


async def refused(service: Service) -> dict[str, float]:
    """How many webhooks of each channel were refused so far, as `/metrics` has it."""
    text = (await service.http.get("/metrics")).text
    return {
        sample.labels["channel"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "codex_media_webhooks_total" and sample.labels["verdict"] == "refused"
    }


def test_labels_stand_beside_their_figure_alone() -> None:
    text = of_service([Measured("breaker_tripped", "bucket", 1), Measured("items_overdue", "", 2)])
    assert b'codex_media_breaker_tripped{name="bucket"} 1.0' in text
    assert b"codex_media_items_overdue 2.0" in text


async def test_figures_without_a_label_are_always_there(services: Services) -> None:
    await check_once(services)
    found = {name for name, _ in await figures(services)}
    assert found >= {figure.name for figure in FIGURES if not figure.labels}


async def test_what_the_process_counts_is_told_while_the_database_is_away(
    environ: dict[str, str],
) -> None:
    away = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"
    async with running(load(environ | {"DATABASE_URL": away})) as service:
        answer = await service.http.get("/metrics")
    assert answer.status_code == 200
    assert "\ncodex_media_request_seconds_count{" in answer.text
    assert "\ncodex_media_items_overdue " not in answer.text, "what nobody knows is not told"
