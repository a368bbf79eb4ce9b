"""The facts of a run: its numbers are those that numpy gives."""

from __future__ import annotations

import numpy as np
import pytest

from vssbench.report.facts import _percentile

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize("percent", [50, 90])
@pytest.mark.parametrize("count", [1, 2, 3, 10, 11, 12, 101, 2070])
def test_a_percentile_is_that_of_numpy_to_the_last_bit(count: int, percent: float) -> None:
    draw = np.random.default_rng(count)
    for scale in (1e-3, 1.0, 1e4):
        values = draw.gamma(2.0, scale, count)
        assert _percentile(values, percent) == float(np.percentile(values, percent))


def test_there_is_no_percentile_of_nothing() -> None:
    assert _percentile(np.empty(0), 50) is None
