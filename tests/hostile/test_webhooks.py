"""Some thousand hostile webhooks. `python -m tests.hostile --count 100000` sends many."""

from infra.settings import Settings
from infra.postgres.pool import Pool
from tests.api.service import running
from tests.hostile.attack import attack, fingerprint, settle, unsigned_rows, watching
from tests.hostile.scene import set_scene

COUNT = 3000
SEED = 20261102
MOST_GROWTH_MIB = 48
"""Far less than the messages themselves have together."""


async def test_f08_hostile_webhooks_change_no_state(settings: Settings, owner: Pool) -> None:
    async with running(settings) as service:
        scene = await set_scene(service.services)
        before = await fingerprint(owner)
        with watching(scene) as watch:
            record = await attack(service.app, scene, COUNT, SEED)
            assert await fingerprint(owner) == before
            await settle(service.services, owner)
        assert await fingerprint(owner) == before
        assert await unsigned_rows(owner, scene) == 0
    assert record.wrong == []
    assert (watch.errors, watch.leaks) == ([], [])
    assert set(record.statuses) <= {200, 400, 401, 413, 422}
    assert len(record.kinds) == 22
    assert record.growth_mib < MOST_GROWTH_MIB
