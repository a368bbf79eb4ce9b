"""An experiment end to end: its numbers against a re-statement by hand, what becomes of failures,
what the run id depends on."""

import errno
import os
import tracemalloc
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from vssbench.codec.vectors.estimated import EstimatedVectors
from vssbench.core import registry
from vssbench.core.errors import DataError
from vssbench.core.variant import parse_variant
from vssbench.core.video import Frame, Given
from vssbench.cost.gmacs import count
from vssbench.protocol import Dense, EveryDistance
from vssbench.report.columns import groups
from vssbench.report.costs import COSTS
from vssbench.report.frames import results
from vssbench.report.page.content import content
from vssbench.report.pivot import render_pivot
from vssbench.report.rows import rows
from vssbench.report.streams import stream_title
from vssbench.report.table import render
from vssbench.run.experiment import Experiment
from vssbench.run.measurement import NON_DETERMINISTIC
from vssbench.run.measuring import Way, measure, view_numbers
from vssbench.run.store import RunStore
from vssbench.run.stream import Stream
from vssbench.sweep import grid
from vssbench.sweep.grid import sweep
from vssbench.weights.file import open_weights
from vssbench.weights.writing import save_weights


@pytest.fixture
def make_experiment(patterns, tmp_path):
    def make(method="bisenet[width=0.125]", codec="raw", gop=4, dataset=patterns):
        torch.manual_seed(0)
        variant, codec_variant = parse_variant(method), parse_variant(codec)
        model = registry.create("methods", variant, classes=3)
        path = tmp_path / f"{variant.name}.safetensors"
        if not path.exists():
            save_weights(path, model, variant, dataset.classes, "patterns", {})
        coder = registry.create("codecs", codec_variant, gop=gop)
        return Experiment(
            variant,
            open_weights(path),
            parse_variant("patterns"),
            dataset,
            codec_variant,
            coder,
            Dense(),
        )

    return make


def test_accuracy_by_hand(make_experiment, patterns, tmp_path):
    """Six raw frames a clip, keyframes at 0 and 4: every pixel counted in a loop over frames."""
    experiment = make_experiment()
    store = RunStore(tmp_path / "runs")
    result = measure(experiment, store, "test")
    assert result.status == "done"
    model = registry.create("methods", experiment.method, classes=3).eval()
    model.load_state_dict(experiment.weights.tensors(), strict=False)
    counted = {d: np.zeros((3, 3), np.int64) for d in range(4)}
    for clip in patterns.clips():
        for index in range(clip.length):
            image = torch.from_numpy(clip.image(index)).permute(2, 0, 1)[None].float() / 255
            with torch.no_grad():
                prediction = model.keyframe(image)[0][0].argmax(0).numpy()
            np.add.at(counted[index % 4], (clip.label(index).ravel(), prediction.ravel()), 1)
    run = store.get(result.run_id)
    for distance, matrix in counted.items():
        # rounding
        assert (
            np.abs(
                run.confusion.matrices[run.confusion.distances == distance].sum(0) - matrix
            ).sum()
            <= 4
        )
    by_distance = []
    for matrix in counted.values():
        union = matrix.sum(0) + matrix.sum(1) - np.diag(matrix)
        by_distance.append(np.mean([matrix[c, c] / union[c] for c in range(3) if union[c]]))
    row = rows([run])[0]
    assert row["miou"] == pytest.approx(np.mean(by_distance), abs=1e-3)
    assert row["frames"] == 12
    assert list(run.latency.distances) == [0, 1, 2, 3, 0, 1] * 2


@pytest.mark.parametrize(
    ("method", "codec"),
    [
        ("bisenet[width=0.125]", "raw"),
        ("pspnet[width=0.125]", "raw"),
        ("arseg[backbone=bise18,width=0.125]", "h264[bitrate=200k]"),
    ],
)
def test_the_same_experiment_gives_equal_matrices_at_one_thread_and_two(
    make_experiment, tmp_path, method, codec
):
    """Torch allows it on a CPU: convolutions and resizing sum in an order of their own."""
    found = []
    for number, threads in enumerate((1, 2, 2, 1)):
        torch.set_num_threads(threads)
        try:
            store = RunStore(tmp_path / f"runs{number}")
            result = measure(make_experiment(method, codec), store, "test")
        finally:
            torch.set_num_threads(1)
        assert (result.status, result.remarks) == ("done", [])
        found.append(store.get(result.run_id).confusion.matrices)
    assert found[0].sum() > 0
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


def test_a_method_that_is_not_deterministic_says_so_in_its_row(
    make_experiment, tmp_path, monkeypatch
):
    experiment = make_experiment()
    network = registry.load("methods", "bisenet")
    plain = network.keyframe

    def shaken(self, image):
        logits, reference = plain(self, image)
        return logits + 1e-6 * torch.rand_like(logits), reference

    monkeypatch.setattr(network, "keyframe", shaken)
    store = RunStore(tmp_path / "runs")
    result = measure(experiment, store, "test")
    assert result.status == "done"
    assert result.remarks == [NON_DETERMINISTIC]
    shown = rows(store.runs())
    for text in (render(shown, "md"), render_pivot(shown, "md")):
        assert "\u2260" in text.partition("- \u2260")[0]
        assert "\u2260 non-deterministic: passes over the same frame gave different logits" in text
    assert r"$\neq$" in render(shown, "latex")


def test_a_store_that_cannot_be_written_is_said_before_anything_is_measured(
    make_experiment, tmp_path, monkeypatch
):
    (tmp_path / "file").touch()
    measured = []
    monkeypatch.setattr("vssbench.sweep.grid.measure", lambda *given: measured.append(given))
    with pytest.raises(DataError, match=r"cannot write .*runs"):
        sweep([make_experiment()], RunStore(tmp_path / "file" / "runs"), "test")
    assert measured == []


@pytest.mark.parametrize("room", ["for a row", "for nothing"])
def test_a_full_disk_does_not_end_the_sweep(make_experiment, tmp_path, monkeypatch, room):
    """The arrays of the first experiment find no room, and with them perhaps its failure; the
    second experiment is measured."""
    experiments, full = [make_experiment(), make_experiment(gop=2)], []

    def savez(path, **arrays):
        if len(full) < 1:
            full.append(path)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, **arrays)

    def write_row(store, measurement, *given):
        if measurement.status == "failed" and room == "for nothing":
            raise DataError("cannot write the row")
        return write_run(store, measurement, *given)

    write, write_run = np.savez_compressed, RunStore.write
    monkeypatch.setattr(np, "savez_compressed", savez)
    monkeypatch.setattr(RunStore, "write", write_row)
    store = RunStore(tmp_path / "runs")
    first, second = sweep(experiments, store, "test")
    assert (first.status, second.status) == ("failed", "done")
    assert "No space left on device; make room" in first.reason
    stored = {run.measurement.run_id: run.measurement.status for run in store.runs()}
    expected = {first.run_id: "failed"} if room == "for a row" else {}
    assert stored == expected | {second.run_id: "done"}


@pytest.mark.parametrize(("split", "stored"), [("val", "val"), (None, "")])
def test_the_split_that_was_scored_is_stored(make_experiment, patterns, tmp_path, split, stored):
    dataset = type(patterns)()
    dataset.split = split
    store = RunStore(tmp_path / "runs")
    result = measure(make_experiment(dataset=dataset), store, "test")
    assert store.get(result.run_id).measurement.split == stored


def test_where_the_time_went(make_experiment, tmp_path):
    result = measure(
        make_experiment(codec="h264[bitrate=200k]"), RunStore(tmp_path / "runs"), "test"
    )
    assert list(result.spent) == ["setup", "codec", "network", "harness"]
    assert min(result.spent.values()) > 0
    assert sum(result.spent.values()) == pytest.approx(result.seconds)


def test_the_environment_is_stored(make_experiment, tmp_path):
    store = RunStore(tmp_path / "runs")
    found = store.get(measure(make_experiment(), store, "test").run_id).environment
    assert {
        "cpu",
        "flags",
        "threads",
        "governor",
        "load_average",
        "memory_mb",
        "torch_build",
        "git_revision",
    } <= set(found)


def _forth_and_back(clip, frames):
    """The clip again and again, every other time backwards."""

    def place(index):
        return min(index % (2 * clip.length), 2 * clip.length - 1 - index % (2 * clip.length))

    image, label = clip.image, clip.label
    return replace(
        clip, length=frames, image=lambda i: image(place(i)), label=lambda i: label(place(i))
    )


def test_memory_does_not_grow_with_the_clip(make_experiment, patterns, tmp_path):
    """270 frames more take 5 MB as images; a few numbers of each are kept."""
    peaks = []
    for frames in (30, 300):
        experiment = make_experiment(codec="h264[bitrate=200k]", gop=12)
        experiment.dataset.__dict__["scored_clips"] = [_forth_and_back(patterns.clips()[0], frames)]
        tracemalloc.start()
        result = measure(experiment, RunStore(tmp_path / "runs"), "test")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert (result.status, result.frames) == ("done", frames), result.reason
    assert peaks[1] - peaks[0] < 1_000_000


def test_measured_bitrate_and_times(make_experiment, tmp_path):
    store = RunStore(tmp_path / "runs")
    result = measure(
        make_experiment("arseg[backbone=bise18,width=0.125]", "h264[bitrate=200k]"), store, "test"
    )
    assert result.bitrate_kbps > 20
    latency = store.get(result.run_id).latency
    assert (latency.model_ms > 0).all()
    assert (latency.decode_ms > 0).all()
    assert latency.motion_ms[~latency.key].min() > 0


def test_a_failing_experiment_is_a_row_and_the_others_are_kept(make_experiment, patterns, tmp_path):
    good = make_experiment()
    broken = make_experiment(gop=5)
    clips = list(patterns.clips())

    def unreadable(index):
        if index == 3:
            raise DataError("frame 3 is unreadable: expected a PNG")
        return clips[1].image(index)

    class Broken(type(patterns)):
        def clips(self):
            return [clips[0], replace(clips[1], image=unreadable)]

    broken.dataset = Broken()
    store = RunStore(tmp_path / "runs")
    results = sweep([broken, good], store, "test")
    assert [result.status for result in results] == ["failed", "done"]
    assert results[0].reason == "frame 3 is unreadable: expected a PNG"
    assert "Traceback" in results[0].traceback
    assert sorted(row["status"] for row in rows(store.runs())) == ["done", "failed"]
    assert not store.has(broken.run_id)  # it is run again the next time
    assert store.has(good.run_id)


@pytest.mark.parametrize("value", [1e30, 3e38])
def test_logits_that_are_not_finite_fail_the_experiment(make_experiment, tmp_path, value):
    """The largest of NaN is class 0, which would be scored as if the network had said so.

    The weights are finite (others are refused when they are read), and what comes of them is not.
    """
    experiment = make_experiment()
    model = registry.create("methods", experiment.method, classes=3)
    for parameter in model.parameters():
        parameter.data.fill_(value)
    path = tmp_path / "broken.safetensors"
    save_weights(path, model, experiment.method, experiment.dataset.classes, "patterns", {})
    experiment = replace(experiment, weights=open_weights(path))
    store = RunStore(tmp_path / "runs")
    result = measure(experiment, store, "test")
    assert result.status == "failed"
    assert "frame 0 of 'pattern0': 18432 of 18432 logits of BiSeNet18" in result.reason
    assert "are not finite" in result.reason
    assert store.get(experiment.run_id).confusion is None


def test_the_run_id_is_that_of_what_changes_the_numbers(make_experiment):
    assert make_experiment().run_id == make_experiment().run_id
    different = {
        experiment.run_id
        for experiment in (
            make_experiment(),
            make_experiment(gop=6),
            make_experiment("bisenet[width=0.125,scale=0.5]"),
        )
    }
    assert len(different) == 3
    experiment = make_experiment()
    experiment.precision = "bf16"
    assert experiment.run_id != make_experiment().run_id


def test_the_stream_passes_the_reference_on(make_experiment):
    """A non-keyframe sees the reference of the last keyframe, and warm-up leaves nothing behind."""
    seen = []

    class Probe(type(registry.create("methods", parse_variant("bisenet[width=0.125]"), classes=3))):
        def keyframe(self, image):
            logits, _ = super().keyframe(image)
            return logits, float(image.mean())

        def nonkeyframe(self, image, motion, reference):
            seen.append(reference)
            return super().keyframe(image)[0]

    stream = Stream(Probe(3, width=0.125).eval(), "cpu", "fp32")
    images = [np.full((32, 32, 3), value, np.uint8) for value in (51, 102, 204, 255)]
    for index, (image, distance) in enumerate(zip(images, (0, 1, 0, 1), strict=True)):
        stream.segment(Frame(index, image, "I" if distance == 0 else "P", distance))
    assert seen[-2:] == [pytest.approx(0.2), pytest.approx(0.8)]


def test_the_stream_of_a_run_is_recorded(make_experiment, tmp_path):
    """Bits, types and quality of every frame; the field's numbers where the method read one."""
    store = RunStore(tmp_path / "runs")
    result = measure(
        make_experiment("arseg[backbone=bise18,width=0.125]", "h264[bitrate=200k]"), store, "test"
    )
    assert result.status == "done", result.reason
    record = store.get(result.run_id).stream
    assert bytes(record.types).decode() == "IPPPIP" * 2
    seconds = sum(clip.length / clip.fps for clip in make_experiment().dataset.scored_clips)
    assert result.bitrate_kbps == pytest.approx(record.bits.sum() / seconds / 1000)
    assert result.psnr_db == pytest.approx(-10 * np.log10(np.mean(10 ** (-record.psnr_db / 10))))
    assert 15 < result.psnr_db < 60
    assert 0 < result.ssim <= 1
    key = record.types == ord("I")
    assert (record.intra_share[key] == 1).all()
    assert (record.warp_error[key] == 0).all()
    assert (record.p95_vector >= 0).all()
    assert (result.codec_name, result.codec_rate) == ("H.264", "200 kb/s")


def test_motion_is_read_once_where_times_do_not_count(make_experiment, tmp_path, monkeypatch):
    """A timed run reads it itself, so that its times are true; others have it of the cache."""
    opened, plain = [], EstimatedVectors.__init__

    def noted(self, *given):
        opened.append(1)
        plain(self, *given)

    monkeypatch.setattr(EstimatedVectors, "__init__", noted)
    results = []
    for number, timed in enumerate((True, False, False, True)):
        experiment = make_experiment(
            "arseg[backbone=bise18,width=0.125]", "h264[bitrate=200k,motion=estimated]"
        )
        experiment.cache = tmp_path / ".cache"
        store = RunStore(tmp_path / f"runs{number}")
        assert measure(experiment, store, "test", Way(timed=timed)).status == "done"
        run = store.runs()[0]
        results.append((run.confusion.matrices.tobytes(), run.stream.warp_error.tobytes()))
        opened.append(0)
    assert opened == [1, 1, 0, 1, 1, 0, 0, 1, 1, 0]  # two clips
    assert len(set(results)) == 1


def test_without_a_codec_nothing_is_lost_and_no_field_is_read(make_experiment, tmp_path):
    store = RunStore(tmp_path / "runs")
    result = measure(make_experiment(), store, "test")
    record = store.get(result.run_id).stream
    assert np.isinf(record.psnr_db).all()
    assert np.isnan(record.warp_error).all()
    assert (result.psnr_db, result.ssim, result.codec_rate) == (None, 1.0, "")


def in_the_first_clip(patterns, **changes):
    """The patterns, their first clip changed and the second as it is."""

    class Changed(type(patterns)):
        def clips(self):
            first, second = super().clips()
            return [replace(first, **changes), second]

    return Changed()


def frames_given(length):
    still = np.zeros((64, 96, 2), np.float32)
    return Given(tuple(range(length)), lambda index: still, "another's files")


@pytest.mark.parametrize("codec", ["raw", "h264[bitrate=200k]"])
def test_stills_have_no_rate(make_experiment, stills, tmp_path, codec):
    store = RunStore(tmp_path / "runs")
    result = measure(make_experiment(codec=codec, dataset=stills), store, "test")
    assert (result.status, result.bitrate_kbps) == ("done", None)
    (row,) = rows([store.get(result.run_id)])
    assert "kbit/s" not in stream_title([row])


def test_the_rate_is_that_of_the_clips_that_are_video(make_experiment, patterns, tmp_path):
    dataset = in_the_first_clip(patterns, length=1)
    result = measure(make_experiment(dataset=dataset), RunStore(tmp_path / "runs"), "test")
    assert result.frames == 7
    assert result.bitrate_kbps == pytest.approx(24 * 64 * 96 * 15 / 1000)


@pytest.mark.parametrize("codec", ["raw", "raw[motion=given]"])
def test_frames_that_come_coded_have_no_known_rate_and_are_named(
    make_experiment, patterns, tmp_path, codec
):
    """Their size is not known, which is not 0; what coded them stands in the codec's place."""
    patterns.count = 1
    clip = patterns.clips()[0]

    class Coded(type(patterns)):
        def clips(self):
            return [replace(clip, length=3, given=frames_given(3))]

    store = RunStore(tmp_path / "runs")
    result = measure(make_experiment(codec=codec, dataset=Coded()), store, "test")
    assert (result.status, result.bitrate_kbps) == ("done", None)
    (row,) = rows([store.get(result.run_id)])
    assert stream_title([row]).startswith("given frames (another's files)")
    assert "kbit/s" not in stream_title([row])
    assert results(store.root, "frame")["bits"].isna().all()


def test_one_clip_of_unknown_size_makes_the_rate_unknown(make_experiment, patterns, tmp_path):
    dataset = in_the_first_clip(patterns, length=3, given=frames_given(3))
    result = measure(make_experiment(dataset=dataset), RunStore(tmp_path / "runs"), "test")
    assert (result.status, result.bitrate_kbps) == ("done", None)


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


def test_a_method_that_asks_for_residuals_gets_them(make_experiment, patterns):
    """The residual is the frame minus the warp of its reference, as parts of 255; a keyframe has
    none."""
    seen = []

    class Probe(type(registry.create("methods", parse_variant("bisenet[width=0.125]"), classes=3))):
        needs = frozenset({"residual"})

        def nonkeyframe(self, image, motion, reference, residual=None):
            seen.append(residual)
            return super().keyframe(image)[0]

    experiment = make_experiment(codec="h264[bitrate=200k]")
    stream = Stream(Probe(3, width=0.125).eval(), "cpu", "fp32")
    clip = patterns.clips()[0]
    for frame in experiment.codec.frames(clip, motion=False, residual=True):
        assert (frame.residual is None) == (frame.distance == 0)
        stream.segment(frame)
        if frame.distance:
            assert seen[-1].shape == (1, 3, clip.height, clip.width)
            assert np.allclose(
                seen[-1][0].permute(1, 2, 0).numpy() * 255, frame.residual, atol=1e-3
            )


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


def test_the_groups_and_views_of_clips_are_stored_with_the_run(make_experiment, patterns, tmp_path):
    experiment = make_experiment()
    clips = type(patterns)(frames=2, clips=3).clips()
    assert [clip.part(0, 1).group for clip in clips] == ["pattern0", "pattern1", "pattern2"]
    drives = ("north", "south", "north")
    experiment.dataset.__dict__["scored_clips"] = [
        replace(clip, group=drive, view_of=drive) for clip, drive in zip(clips, drives, strict=True)
    ]
    store = RunStore(tmp_path / "runs")
    measure(experiment, store, "test")
    (run,) = store.runs()
    assert run.confusion.groups.tolist() == [0, 0, 1, 1, 0, 0]
    assert run.confusion.views.tolist() == [0, 0, 1, 1, 0, 0]
    assert experiment.identity["groups"] == list(drives)  # other groups are another run


def test_views_of_one_frame_are_numbered_by_the_first_of_their_group(patterns):
    clips = type(patterns)(frames=1, clips=5).clips()
    assert view_numbers(clips) is None
    shown = [("north", "a"), ("north", "b"), ("north", "a"), ("south", "a"), ("north", "")]
    views = [
        replace(clip, group=group, view_of=frame)
        for clip, (group, frame) in zip(clips, shown, strict=True)
    ]
    assert view_numbers(views) == [0, 1, 0, 3, 4]
