"""Validation: what is measured, on what, which state is kept, and that a training resumes with
it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image as Pillow

from tests.conftest import Patterns
from vssbench.cli import bench
from vssbench.core import registry
from vssbench.core.division import Division, undivided
from vssbench.core.errors import DataError, UsageError
from vssbench.core.segmenter import Batch, Phase
from vssbench.core.variant import parse_variant
from vssbench.metrics.confusion import confusion_matrix
from vssbench.metrics.iou import mean_iou
from vssbench.nets.resize import resize
from vssbench.report.curves import draw_curves
from vssbench.training.loop import Trainer
from vssbench.training.options import Options
from vssbench.training.recipe import PhaseRecipe
from vssbench.training.validation import Setting, Validation, best_entry
from vssbench.weights.file import open_weights

TINY = Options(epochs=3, batch=4, crop=(48, 64), precision="fp32", workers=0, validate_every=1)
BISENET = "bisenet[width=0.125]"
ARSEG = "arseg[backbone=bise18,width=0.125]"
DFF = "dff[backbone=resnet18,width=0.125]"
#: its encoder gives the same bits for the same frames
RECIPE = PhaseRecipe(codecs=("h264[preset=superfast]",))


def made(text):
    torch.manual_seed(1)
    return registry.create("methods", parse_variant(text), classes=3)


def validation_of(dataset, frames=None):
    return Validation(Division([], dataset.training_clips(), ""), 3, Setting("cpu", frames=frames))


def trainer(dataset, out, method=BISENET, options=TINY):
    return Trainer(parse_variant(method), parse_variant("patterns"), dataset, options, out)


def scored(monkeypatch, scores):
    """These held-out scores, one after the other, in the place of measured ones."""
    given = iter(scores)
    monkeypatch.setattr(Validation, "score", lambda self, model, phase, recipe: next(given))


def test_stills_are_judged_whole_by_one_confusion_matrix(patterns):
    """Stills are scored as methods are: evaluation mode, fp32, logits at the label's size;
    clips of two sizes together."""
    model = made(BISENET)
    other = Patterns(frames=2, clips=1, height=48, width=64)
    clips = [*patterns.training_clips(), *other.training_clips()]
    score = Validation(Division([], clips, ""), 3, Setting("cpu")).score(
        model, Phase("task"), RECIPE
    )
    assert not model.training
    total = np.zeros((3, 3), np.int64)
    with torch.no_grad():
        for clip in clips:
            for index in range(clip.length):
                image = torch.from_numpy(clip.image(index)).permute(2, 0, 1)[None].float() / 255
                image = image.contiguous(memory_format=torch.channels_last)
                label = clip.label(index)
                prediction = (
                    resize(model.keyframe(image)[0], label.shape)[0]
                    .argmax(0)
                    .to(torch.uint8)
                    .numpy()
                )
                total += confusion_matrix(label, prediction, 3)
    assert total.sum() == 2 * 6 * 64 * 96 + 2 * 48 * 64
    assert score == mean_iou(total)


@pytest.mark.parametrize("text", [ARSEG, DFF])
@pytest.mark.parametrize("frames", [1, 4])
def test_every_phase_is_judged_the_same_each_time(text, frames):
    """On stills alone (pairs by ego-motion, affine flow) and on video; whatever the global random
    state."""
    model, dataset = made(text), Patterns(frames=frames, clips=2)
    for phase in model.phases():
        first = validation_of(dataset).score(model, phase, RECIPE)
        torch.manual_seed(99)
        again = validation_of(dataset).score(model, phase, RECIPE)
        assert first == again
        assert np.isfinite(first)


def test_pairs_are_judged_by_their_later_frame(patterns):
    """A later frame that a keyframe's network has nothing to do with: AR-Seg's, from its LR network
    and the fusion."""
    model = made(ARSEG)
    hr, lr, fusion = model.phases()
    before = {
        phase.name: validation_of(patterns).score(model, phase, RECIPE)
        for phase in (hr, lr, fusion)
    }
    with torch.no_grad():
        for name, value in model.low.named_parameters():
            if not name.startswith("final"):
                value.copy_(torch.randn_like(value))
    after = {
        phase.name: validation_of(patterns).score(model, phase, RECIPE)
        for phase in (hr, lr, fusion)
    }
    assert after["hr"] == before["hr"]
    assert after["lr"] != before["lr"]
    assert after["fusion"] != before["fusion"]


def test_the_low_resolution_phase_is_judged_by_its_own_network(patterns):
    model = made(ARSEG).eval()
    image = torch.rand(1, 3, 64, 96)
    batch = Batch(image, torch.zeros(1, 64, 96, dtype=torch.int64), torch.ones(3))
    with torch.no_grad():
        low = model.validation_logits(Phase("lr"), batch)
        assert not torch.equal(low, model.keyframe(image)[0])
        assert torch.equal(model.validation_logits(Phase("hr"), batch), model.keyframe(image)[0])


def test_a_limit_takes_frames_spread_over_all(patterns, monkeypatch):
    validation = validation_of(patterns, frames=3)
    seen = []
    monkeypatch.setattr(
        validation, "_batch", lambda sample: seen.append(sample["image"][0]) or _empty(sample)
    )
    validation.score(made(BISENET), Phase("task"), RECIPE)
    first, second = patterns.training_clips()
    expected = [first.image(0), first.image(4), second.image(2)]
    assert [image.permute(1, 2, 0).numpy().tolist() for image in seen] == [
        image.tolist() for image in expected
    ]


def _empty(sample):
    return Batch(sample["image"].float(), sample["label"], torch.ones(3))


def test_the_best_epoch_is_the_latest_of_equals_and_lower_flow_errors_are_better():
    history = [
        {"phase": "a", "epoch": epoch, "validation": score}
        for epoch, score in enumerate([0.5, 0.7, None, 0.7, 0.6], 1)
    ]
    assert best_entry(history, Phase("a"))["epoch"] == 4
    assert best_entry(history, Phase("a", data="flow"))["epoch"] == 1
    assert best_entry(history, Phase("b")) is None


@pytest.mark.parametrize("select", ["best", "last"])
def test_a_training_ends_with_the_state_that_is_selected(select, stills, tmp_path, monkeypatch):
    scored(monkeypatch, [0.2, 0.9, 0.4])
    started = trainer(stills, tmp_path / "w.safetensors", options=replace(TINY, select=select))
    states = []
    judge = started._judge
    started._judge = lambda *given: (
        states.append({name: value.clone() for name, value in started.model.state_dict().items()}),
        judge(*given)
    )[1]  # fmt: skip
    file = open_weights(started.run()[0])
    expected = states[1 if select == "best" else 2]
    assert not all(torch.equal(value, states[0][name]) for name, value in expected.items())
    assert all(
        torch.equal(value, expected[name]) for name, value in started.model.state_dict().items()
    )
    assert file.training["best"] == {
        "task": {"measure": "mIoU", "score": 0.9, "epoch": 2, "taken": select == "best"}
    }
    assert [entry["validation"] for entry in file.training["history"]] == [0.2, 0.9, 0.4]
    kept = tmp_path / "w.best.safetensors"
    assert kept.exists() == (select == "last")  # with best, the weights themselves are that state
    if select == "last":
        half = states[1]["net.final.weight"].half().float()
        assert torch.equal(open_weights(kept).tensors()["net.final.weight"].half().float(), half)


@pytest.mark.parametrize("stop", [1, 2, 3, 4])
def test_a_resumed_training_has_the_same_best_state(stop, stills, tmp_path, monkeypatch):
    """Stopped before the best epoch, at it, after it and at the phase's end."""
    options = replace(TINY, epochs=4)
    scores = [0.1, 0.8, 0.3, 0.2]
    scored(monkeypatch, scores)
    whole = open_weights(trainer(stills, tmp_path / "whole.safetensors", options=options).run()[0])
    scored(monkeypatch, scores)
    end_epoch, ended = Trainer._end_epoch, []

    def stop_after(self, *arguments):
        end_epoch(self, *arguments)
        ended.append(self)
        if len(ended) == stop:
            raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "_end_epoch", stop_after)
    with pytest.raises(KeyboardInterrupt):
        trainer(stills, tmp_path / "broken.safetensors", options=options).run()
    monkeypatch.setattr(Trainer, "_end_epoch", end_epoch)
    scored(monkeypatch, scores[stop:])
    resumed = open_weights(
        trainer(stills, tmp_path / "broken.safetensors", options=options).run(resume=True)[0]
    )
    assert resumed.training["best"] == whole.training["best"]
    assert whole.training["best"]["task"]["epoch"] == 2
    tensors = resumed.tensors()
    assert all(torch.equal(value, tensors[name]) for name, value in whole.tensors().items())


def test_the_next_phase_begins_with_the_best_state(stills, tmp_path, monkeypatch):
    """AR-Seg's LR network is copied from the HR network as it was after its best epoch."""
    scored(monkeypatch, [0.9, 0.1, 0.3, 0.3])
    started = trainer(
        stills, tmp_path / "w.safetensors", ARSEG, replace(TINY, epochs=2, codecs=RECIPE.codecs)
    )
    after, copied = [], []
    end_epoch, copy = started._end_epoch, started.model._copy_to_low

    def end(*given):
        after.append(started.model.high.state_dict()["final.weight"].clone())
        end_epoch(*given)

    started._end_epoch = end
    started.model._copy_to_low = lambda state: (
        copied.append(state["final.weight"].clone()),
        copy(state),
    )
    started.run()
    assert not torch.equal(after[0], after[1])
    assert torch.equal(copied[0], after[0])


def test_joined_phases_are_one_training_whose_state_goes_on(stills, tmp_path, monkeypatch):
    """AR-Seg's paper recipe: the phase with fusion goes on with the optimiser of the one
    without."""
    scored(monkeypatch, [0.1, 0.2, 0.9, 0.1, 0.4, 0.3])
    options = replace(TINY, recipe="paper", epochs=4, batch=8, codecs=RECIPE.codecs)
    started = trainer(Patterns(frames=12, clips=2), tmp_path / "w.safetensors", ARSEG, options)
    halved = [replace(phase, share=0.5) for phase in started.phases]
    started.course = replace(started.course, phases=halved)
    best = open_weights(started.run()[0]).training["best"]
    assert {name: (entry["epoch"], entry["taken"]) for name, entry in best.items()} == {
        "hr": (2, True),
        "lr": (1, False),
        "fusion": (1, True),
    }


def test_it_is_judged_every_so_many_epochs_and_after_the_last(stills, tmp_path):
    file = open_weights(
        trainer(
            stills,
            tmp_path / "w.safetensors",
            options=replace(TINY, epochs=5, validate_every=2, curves=draw_curves),
        ).run()[0]
    )
    assert [entry["epoch"] for entry in file.training["history"] if "validation" in entry] == [
        2,
        4,
        5,
    ]
    with Pillow.open(tmp_path / "w.safetensors.curve.png") as picture:
        assert picture.format == "PNG"
    assert {path.name for path in tmp_path.iterdir()} == {
        "w.safetensors",
        "w.safetensors.curve.png",
    }
    division = file.training["division"]
    assert division["validation"]["names"] == ["pattern200"]
    assert division["training"]["clips"] == 8


def test_the_console_says_the_score_with_the_loss(stills, tmp_path, capsys):
    trainer(stills, tmp_path / "w.safetensors", options=replace(TINY, epochs=1)).run()
    assert "held-out mIoU 0." in capsys.readouterr().err


def test_training_never_sees_what_is_held_out(tmp_path):
    """With the rule that any dataset has: the clips that are trained on and those judged are all,
    and disjoint."""

    class Plain(Patterns):
        def division(self):
            return super(Patterns, self).division()

    dataset = Plain(frames=1, clips=24)
    started = trainer(dataset, tmp_path / "w.safetensors", options=replace(TINY, epochs=1))
    started.run()
    trained = {clip.name for clip in started.material.stills.clips}
    held = {clip.name for whole in started.material.validation.groups for clip in whole.clips}
    assert (len(trained), len(held)) == (20, 2)
    assert not trained & held
    assert trained | held < {clip.name for clip in dataset.training_clips()}
    assert not held & {clip.name for clip in dataset.clips()}


def test_without_validation_everything_is_trained_on(stills, tmp_path):
    started = trainer(stills, tmp_path / "w.safetensors", options=replace(TINY, validate_every=0))
    training = open_weights(started.run()[0]).training
    assert training["best"] == {}
    assert training["division"]["rule"] == "nothing held out"
    assert started.material.validation is None
    assert not any("validation" in entry for entry in training["history"])


def test_nothing_to_hold_out_is_said_or_refused(tmp_path, capsys):
    class Single(Patterns):
        def division(self):
            return undivided(self.training_clips())

    dataset = Single(frames=4, clips=1)
    with pytest.raises(UsageError, match=r"nothing to validate on.*leave --validate-every out"):
        trainer(dataset, tmp_path / "w.safetensors").run()
    file = trainer(
        dataset, tmp_path / "w.safetensors", options=replace(TINY, epochs=1, validate_every=None)
    ).run()[0]
    assert "training on everything" in capsys.readouterr().err
    assert open_weights(file).training["best"] == {}


def test_curves_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "w.curve.png"
    history = [{"phase": "task", "epoch": 1, "seconds": 1.0, "task": 2.0, "aux": 1.0}]
    draw_curves(path, history, {"task": "mIoU"})
    before = path.read_bytes()

    def torn(figure, file, **options):
        file.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", torn)
    with pytest.raises(DataError, match="no space"):
        draw_curves(
            path, [*history, {**history[0], "epoch": 2, "validation": 0.5}], {"task": "mIoU"}
        )
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["w.curve.png"]


@pytest.mark.parametrize("more", [("--validate-every", "2"), ("--select", "best")])
def test_all_training_data_and_validation_exclude_each_other(more):
    result = CliRunner().invoke(
        bench, ["train", "pspnet", "-d", "synthetic", "--all-training-data", *more]
    )
    assert isinstance(result.exception, UsageError)
    assert "--all-training-data holds nothing out" in str(result.exception)


def test_recipes_say_whether_they_validate():
    def shown(*given):
        return (
            CliRunner().invoke(bench, ["train", "pspnet", "-d", "camvid", "--show", *given]).stdout
        )

    assert "validate_every = 5" in shown()
    assert "select = best" in shown()
    assert "validate_every = 0" in shown("--recipe", "paper")
    assert "validate_every = 0" in shown("--all-training-data")
    assert "validate_every = 3" in shown("--recipe", "paper", "--validate-every", "3")
