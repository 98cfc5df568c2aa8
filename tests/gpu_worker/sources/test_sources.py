"""Every source of the table ends as it says; and the eyes that see that are good."""

from pathlib import Path

import numpy as np
import pytest

from gpu_worker.tools import Tools
from tests.gpu_worker.sources import colour
from tests.gpu_worker.sources.judge import judge
from tests.gpu_worker.sources.source import Source
from tests.gpu_worker.sources.table import SOURCES


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_source_ends_as_the_table_says(source: Source, tmp_path: Path, tools: Tools) -> None:
    assert judge(source, tmp_path, tools).findings == []


def test_names_are_unique_and_there_are_enough_of_them() -> None:
    assert len({source.name for source in SOURCES}) == len(SOURCES) >= 40


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [  # Of the pairs that Sharma, Wu and Dalal published to test implementations with.
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, -1, 2), (50, 0, 0), 2.3669),
        ((50, 2.49, -0.001), (50, -2.49, 0.0011), 7.2195),
        ((50, 2.5, 0), (58, 24, 15), 19.4535),
        ((22.7233, 20.0904, -46.694), (23.0331, 14.973, -42.5619), 2.0373),
    ],
)
def test_colour_distance_is_that_of_the_published_pairs(
    one: tuple[float, ...], other: tuple[float, ...], distance: float
) -> None:
    assert colour.delta_e(np.array(one), np.array(other)) == pytest.approx(distance, abs=1e-4)


def test_hdr_signals_of_white_are_those_of_the_reports() -> None:
    """BT.2408: 203 cd/m² is 58 % PQ and 75 % HLG."""
    white = np.ones(3)
    assert colour.pq(white) == pytest.approx([0.58] * 3, abs=0.005)
    assert colour.hlg(white) == pytest.approx([0.75] * 3, abs=0.005)
