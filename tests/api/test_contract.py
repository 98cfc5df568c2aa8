"""The service answers as its own OpenAPI description says, whatever it is asked."""

import os
from pathlib import Path

from api.app import offered
from infra.settings import Settings
from tests.contract.run import Effort, run

EXAMPLES, LIMIT_S = os.environ.get("CONTRACT_EXAMPLES"), os.environ.get("CONTRACT_LIMIT_S")
SMALL = Effort(1, phases="fuzzing,stateful", seed=7)
LONG = Effort(int(EXAMPLES or 100), int(LIMIT_S) if LIMIT_S else None, seeds=6)


def test_the_service_is_what_its_description_says(listening: Settings, tmp_path: Path) -> None:
    found = run(listening, tmp_path, LONG if EXAMPLES or LIMIT_S else SMALL)

    if EXAMPLES or LIMIT_S:
        print(found.told)
    assert found.passed, found.told[-20_000:]
    assert f"Tested: {len(offered(demo=False)[0])}" in found.told
