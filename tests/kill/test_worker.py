"""`kill -9` of the real worker: another one does the job, and the output is whole.

At every moment, by hand: `python -m tests.kill worker`.
"""

from pathlib import Path

import pytest

from tests.kill.gpu import Moment
from tests.kill.takeover import film_in, take_over
from tests.kill.world import Parts

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_f16_a_worker_killed_in_the_middle_of_its_upload_leaves_nothing_half(
    parts: Parts, tmp_path: Path
) -> None:
    await take_over(parts, tmp_path, film_in(tmp_path), Moment.UPLOADING)
