"""Times and sizes of sweeps: as they are typed, as they are estimated of past runs, in words."""

from __future__ import annotations

import pytest

from tests.sweep.conducting import Here, Told
from vssbench.sweep import quantities
from vssbench.sweep.estimate import Estimator, duration, in_words, total


def test_estimates_come_from_past_runs_alone(grid):
    store, conducted = grid
    plan, _ = conducted(2, Told())
    both = [each.experiment for each in plan]
    assert total(both, Estimator(store.runs()).seconds) == ([], 2)
    conducted(1, Here(), retry=("failed",))
    run = next(run for run in store.runs() if run.measurement.status == "done")
    seconds = Estimator(store.runs()).seconds
    assert seconds(both[1]) == pytest.approx(run.measurement.seconds)
    assert total(both, seconds) == (2 * [pytest.approx(run.measurement.seconds)], 0)


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("1.5h", 5400), ("2m", 120)])
def test_times_are_read(text, seconds):
    assert quantities.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "0", "-1", "2 weeks", "4G"])
def test_what_is_no_time_is_said(text):
    with pytest.raises(ValueError, match="is not a time as 90"):
        quantities.seconds(text)


def test_more_workers_than_experiments_do_not_shorten_one():
    assert duration([5.0], 8) == 5
    assert duration([3.0, 3.0, 3.0], 2) == 6
    assert duration([1.0, 1.0, 4.0], 2) == 5
    assert duration([], 4) == 0


def test_sizes_and_times_in_words():
    assert quantities.size("1.5G") == 1_500_000_000
    assert quantities.size_in_words(1_500_000_000) == "1.5 GB"
    assert quantities.size_in_words(12) == "12 bytes"
    assert [in_words(each) for each in (45, 720, 36_000)] == ["45 s", "12 min", "10.0 h"]
