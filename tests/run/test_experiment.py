"""An experiment end to end: its numbers against a re-statement by hand, what becomes of failures,
what the run id depends on."""

import errno
import os
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch

from vssbench.codec.vectors.estimated import EstimatedVectors
from vssbench.core import registry
from vssbench.core.errors import DataError
from vssbench.core.variant import parse_variant
from vssbench.core.video import Frame
from vssbench.report.pivot import render_pivot
from vssbench.report.rows import rows
from vssbench.report.table import render
from vssbench.run.measurement import NON_DETERMINISTIC
from vssbench.run.measuring import Way, measure
from vssbench.run.store import RunStore
from vssbench.run.stream import Stream
from vssbench.sweep.grid import sweep
from vssbench.weights.file import open_weights
from vssbench.weights.writing import save_weights


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
