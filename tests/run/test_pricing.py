"""The cost and time of a run: of GOPs as far as seen, of keyframes alone, of several sizes."""

from dataclasses import replace
from functools import partial

import pytest

from vssbench.cost.gmacs import count
from vssbench.report.columns import groups
from vssbench.report.costs import COSTS
from vssbench.report.page.content import content
from vssbench.report.rows import rows
from vssbench.run.measuring import measure
from vssbench.run.store import RunStore


@pytest.mark.parametrize(
    ("frames", "gop", "priced"), [(1, 4, 1), (2, 4, 2), (6, 4, 4), (6, 12, 6), (1, 1, 1)]
)
def test_a_gop_is_priced_as_far_as_it_was_seen(
    make_experiment, patterns, tmp_path, frames, gop, priced
):
    """`copy` equals its network on stills, and costs the same; in clips of two frames, half."""
    dataset = type(patterns)(frames=frames)
    experiment = make_experiment("copy[network=bisenet,width=0.125]", gop=gop, dataset=dataset)
    store = RunStore(tmp_path / "runs")
    result = measure(experiment, store, "test")
    assert result.status == "done", result.reason
    assert result.gmacs_nonkey == 0 < result.gmacs_key
    assert result.gmacs_gop == pytest.approx(result.gmacs_key / priced)
    (row,) = rows(store.runs())
    assert any(str(priced) in remark for remark in row["remarks"]) == (1 < priced < gop)
    # latency and energy are the mean over the same frames
    times = (row["latency_key_ms"], row["latency_nonkey_ms"])
    mean = times[0] if priced == 1 else (times[0] + (priced - 1) * times[1]) / priced
    assert COSTS["latency"].of(row) == pytest.approx(mean)
    page = content(store, [row])
    assert page.shown[0].latency == pytest.approx(mean)
    alone = priced == 1 < gop
    assert any("keyframes alone are scored" in remark for remark in row["remarks"]) == alone
    assert ("keyframes alone" in groups([row])[0].title) == alone


class Clockwork:
    """A counter of energy by which every second reading is two joules after the one before."""

    title = "clockwork"

    def __init__(self) -> None:
        self._at = 0

    def read(self) -> int:
        self._at += 2
        return self._at

    def joules(self, before: int, after: int) -> float:
        return float(after - before)


def test_labels_on_keyframes_alone_are_priced_as_such(make_experiment, tmp_path, monkeypatch):
    """Frames between keyframes are run but not scored: they are not paid for, in GMACs, time or
    energy."""
    monkeypatch.setattr("vssbench.run.measuring.counter", lambda device: Clockwork())
    experiment = make_experiment("copy[network=bisenet,width=0.125]")
    experiment.dataset.__dict__["scored_clips"] = [
        replace(clip, label=partial(_at_keyframes, clip)) for clip in experiment.dataset.clips()
    ]
    store = RunStore(tmp_path / "runs")
    result = measure(experiment, store, "test")
    assert result.status == "done", result.reason
    assert result.gmacs_gop == result.gmacs_key
    assert "keyframes alone are scored" in result.remarks[0]
    (row,) = rows(store.runs())
    assert row["latency_nonkey_ms"] is not None
    assert COSTS["latency"].of(row) == row["latency_key_ms"]
    assert row["joules_nonkey"] is not None
    assert COSTS["energy"].of(row) == row["joules_gop"] == row["joules_key"]
    for name in ("gmacs", "latency", "energy"):
        assert "keyframes alone are scored" in COSTS[name].axis([row])


def test_clips_of_several_lengths_say_so(make_experiment, patterns, tmp_path):
    kind = type(patterns)
    experiment = make_experiment("copy[network=bisenet,width=0.125]", gop=4)
    experiment.dataset.__dict__["scored_clips"] = [
        *kind(frames=1, clips=3).clips(), *kind(frames=6, clips=1).training_clips()
    ]  # fmt: skip
    result = measure(experiment, RunStore(tmp_path / "runs"), "test")
    assert result.status == "done", result.reason
    assert result.gmacs_gop == pytest.approx(result.gmacs_key / 4)
    assert result.remarks == [
        "3 of 4 clips end before a GOP of 4 frames does: mIoU at greater distances is of the "
        "others alone, and GMACs a frame are the mean over such GOPs"
    ]


def _at_keyframes(clip, index):
    return clip.label(index) if index % 4 == 0 else None


def test_clips_of_several_sizes_are_counted_each_and_averaged_by_frames(
    make_experiment, patterns, tmp_path
):
    kind = type(patterns)
    clips = [*kind(frames=6, clips=1).clips(), *kind(frames=2, height=96, width=128).clips()]
    experiment = make_experiment("copy[network=bisenet,width=0.125]", gop=2)
    experiment.dataset.__dict__["scored_clips"] = clips
    store = RunStore(tmp_path / "runs")
    result = measure(experiment, store, "test")
    assert result.status == "done", result.reason
    small, large = (count(experiment.method, 3, *size) for size in ((64, 96), (96, 128)))
    assert result.gmacs_key == pytest.approx((6 * small.gmacs_key + 4 * large.gmacs_key) / 10)
    assert result.gmacs_gop == pytest.approx(result.gmacs_key / 2)
    assert (result.height, result.width) == (0, 0)
    (row,) = rows(store.runs())
    assert groups([row])[0].title.startswith("Patterns 64x96 to 96x128 / ")
    assert "2 frame sizes, 64x96 to 96x128: GMACs are counted at each clip's" in row["remarks"][0]
