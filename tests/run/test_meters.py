"""Meters of a run: they see every frame, are measured once and kept, and refuse in words."""

from dataclasses import replace

import numpy as np
import pytest

from vssbench.core.variant import parse_variant
from vssbench.protocol import EveryDistance
from vssbench.run.measuring import measure
from vssbench.run.store import RunStore
from vssbench.run.stream import Stream
from vssbench.sweep import grid
from vssbench.sweep.grid import sweep


@pytest.fixture
def measured(make_experiment, patterns, tmp_path):
    """``measured(*meters)``: an experiment over clips whose exact motion is known, (2, 1) pixels
    a frame, and the store."""

    class Known(type(patterns)):
        def clips(self):
            return [replace(clip, flow=self.flow) for clip in super().clips()]

        def flow(self, frame, other):
            assert other == frame - 1 >= 0
            return np.broadcast_to(np.array([2, 1], np.float32), (self.height, self.width, 2))

    store = RunStore(tmp_path / "runs")

    def run(*meters, **given):
        experiment = make_experiment(dataset=Known(frames=9, clips=2))
        return replace(experiment, measures=meters, **given), store

    return run


def test_meters_see_every_frame(measured):
    """TC of two clips by hand from the run's own predictions, and where outlines and windows were
    counted."""
    experiment, store = measured("boundary", "consistency")
    predictions = []
    segment = Stream.segment

    def watched(self, *args):
        predictions.append(segment(self, *args))
        return predictions[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stream, "segment", watched)
        result = measure(experiment, store, "test")
    assert result.status == "done", result.reason
    run = store.get(result.run_id)
    assert run.measures == ("boundary", "consistency")
    counted = np.zeros((3, 3), np.int64)
    maps = [labels for labels, _ in predictions]
    for first in (0, 9):
        for before, now in zip(maps[first : first + 8], maps[first + 1 : first + 9], strict=True):
            np.add.at(counted, (before[1:, 2:].ravel(), now[:-1, :-2].ravel()), 1)
    steadiness, outlines = run.meter("consistency"), run.meter("boundary")
    assert np.array_equal(steadiness["tc_matrices"].sum(0), counted)
    assert steadiness["tc_exact"].all()
    assert list(steadiness["vc_frames"]) == [7, 8] * 2
    assert outlines["counts"].shape == (18, 4, 3)
    assert np.array_equal(outlines["frames"], run.confusion.frames)
    assert np.array_equal(outlines["clips"], run.confusion.clips)
    assert run.meter("unknown") is None


def test_meters_are_measured_once_and_kept(measured):
    for asked, expected in (
        ((), ()),
        (("boundary",), ("boundary",)),
        (("consistency",), ("boundary", "consistency")),
    ):
        experiment, store = measured(*asked)
        sweep([experiment], store, "test")
        assert store.get(experiment.run_id).measures == expected
    written = (store.get(experiment.run_id).path / "result.json").stat().st_ino
    for asked in ((), ("boundary",), ("boundary", "consistency")):
        sweep([measured(*asked)[0]], store, "test")
    assert (store.get(experiment.run_id).path / "result.json").stat().st_ino == written


def test_the_same_experiment_is_measured_once_with_all_meters_asked_for(
    measured, monkeypatch, capsys
):
    seen = []

    def watched(experiment, *given):
        seen.append(experiment.measures)
        return measure(experiment, *given)

    monkeypatch.setattr(grid, "measure", watched)
    experiments = [measured(*asked)[0] for asked in ((), ("consistency",), ("boundary",), ())]
    experiments[2].method = parse_variant(
        "bisenet[scale=1,width=0.125]"
    )  # the same, typed otherwise
    store = measured()[1]
    assert [result.run_id for result in sweep(experiments, store, "test")] == [
        experiments[0].run_id
    ]
    assert seen == [("boundary", "consistency")]
    assert store.get(experiments[0].run_id).measures == ("boundary", "consistency")
    assert "3 of 4 experiments are the same as others" in capsys.readouterr().err


def test_consistency_needs_neighbouring_frames(measured):
    experiment, store = measured("consistency", protocol=EveryDistance("label"))
    result = measure(experiment, store, "test")
    assert (result.status, "take --protocol dense" in result.reason) == ("refused", True)
    experiment, store = measured("boundary", protocol=EveryDistance("label"))
    assert measure(experiment, store, "test").status == "done"


def test_what_is_refused_later_loses_nothing(measured):
    experiment, store = measured("boundary", protocol=EveryDistance("label"))
    assert measure(experiment, store, "test").status == "done"
    more = replace(experiment, measures=("boundary", "consistency"))
    assert more.run_id == experiment.run_id
    assert measure(more, store, "test").status == "refused"
    run = store.get(experiment.run_id)
    assert (run.measurement.status, run.measures, run.confusion is not None) == (
        "done",
        ("boundary",),
        True,
    )


def test_consistency_needs_labels_of_the_frames_size(measured):
    experiment, store = measured("consistency")
    clips = [
        replace(clip, label=lambda index: np.zeros((8, 8), np.uint8))
        for clip in experiment.dataset.clips()
    ]
    experiment.dataset.__dict__["scored_clips"] = clips
    result = measure(experiment, store, "test")
    assert (result.status, "labels of 8x8" in result.reason) == ("refused", True)
