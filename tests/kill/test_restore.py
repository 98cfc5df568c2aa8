"""A backup is brought back, and the loops find out what happened since."""

from pathlib import Path

import pytest

from tests.drill.backup import restore
from tests.drill.restore import drill
from tests.kill.world import Parts


@pytest.mark.asyncio(loop_scope="session")
async def test_f41_after_a_real_restore_nothing_is_stuck_and_all_is_shown_as_before(
    parts: Parts,
) -> None:
    async def restored(_lost: str, path: Path) -> str:
        return await restore(path, parts.server_dsn, "restored")

    told = await drill(parts, restored, 1)

    assert told.statuses == {"ready": 7}
    assert told.quarantined == 2
