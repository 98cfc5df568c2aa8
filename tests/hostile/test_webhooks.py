"""Some thousand hostile webhooks. `python -m tests.hostile --count 100000` sends many."""

from pathlib import Path

from infra.bootstrap import Services
from infra.postgres.pool import Pool
from infra.settings import Settings
from tests.api.service import running
from tests.hostile.attack import attack, fingerprint, settle, unsigned_rows, watching
from tests.hostile.messages import COMMON, COSTLY
from tests.hostile.scene import set_scene
from tests.hostile.wire import bombard, serving

COUNT = 3000
ON_THE_WIRE = 320
SEED = 20261102
MOST_GROWTH_MIB = 48
"""Far less than the messages themselves have together."""


async def test_f08_hostile_webhooks_change_no_state(settings: Settings, owner: Pool) -> None:
    async with running(settings) as service:
        scene = await set_scene(service.services)
        before = await fingerprint(owner)
        with watching(scene) as watch:
            record = await attack(service.app, scene, COUNT, SEED)
            await settle(service.services, owner)
        assert await fingerprint(owner) == before
        assert await unsigned_rows(owner, scene) == 0
    assert record.wrong == []
    assert (watch.errors, watch.leaks) == ([], [])
    assert len(record.kinds) == len(COMMON + COSTLY)
    assert record.growth_mib < MOST_GROWTH_MIB


async def test_f08_hostile_bytes_on_a_socket_change_no_state(
    environ: dict[str, str], services: Services, owner: Pool, tmp_path: Path
) -> None:
    scene = await set_scene(services)
    before = await fingerprint(owner)
    async with serving(environ, tmp_path) as server:
        answers = await bombard(server, scene, ON_THE_WIRE, SEED)
        assert server.process.returncode is None
    await settle(services, owner)
    assert await fingerprint(owner) == before
    assert await unsigned_rows(owner, scene) == 0
    assert [status for status in answers if status.startswith("5")] == []
    assert answers["401"] > answers["200"] > 0
    log = server.log.read_text("utf-8")
    assert "Traceback" not in log
    assert " ERROR " not in log
    assert server.rss_mib[-1] - server.rss_mib[len(server.rss_mib) // 10] < MOST_GROWTH_MIB
