"""Training: it learns, it resumes bit for bit, its phases hand over, its errors are words."""

import math
from dataclasses import replace

import pytest
import torch

from vssbench.codec.encoded import EncodedCodec
from vssbench.core.errors import MotionUnavailable, UsageError, WeightsError
from vssbench.core.variant import parse_variant
from vssbench.run.seen import Seen, seen
from vssbench.training import loop
from vssbench.training import recipe as recipes
from vssbench.training.loop import Trainer
from vssbench.training.options import Options
from vssbench.training.steps import Steps
from vssbench.weights.file import open_weights
from vssbench.weights.writing import Origin, save_state

TINY = Options(epochs=2, batch=4, crop=(48, 64), precision="fp32", workers=0)


def trainer(dataset, out, method="bisenet[width=0.125]", options=TINY):
    return Trainer(parse_variant(method), parse_variant("patterns"), dataset, options, out)


def test_the_loss_falls_and_the_record_is_kept(stills, tmp_path):
    options = Options(**{**vars(TINY), "epochs": 16, "learning_rate": 3e-3})
    path = trainer(stills, tmp_path / "w.safetensors", "pspnet[width=0.125]", options).run()[0]
    history = open_weights(path).training["history"]
    assert len(history) == 16
    assert history[-1]["task"] < 0.8 * history[0]["task"]
    assert not list(tmp_path.glob("*.checkpoint"))


def test_weights_know_the_pictures_and_the_colours_that_they_were_trained_on(stills, tmp_path):
    """Trained on train and val, they have seen val; of other frames none."""
    path = trainer(stills, tmp_path / "w.safetensors", "pspnet[width=0.125]", TINY).run()[0]
    file, variant = open_weights(path), parse_variant("patterns")
    assert file.palette == stills.palette
    trained = {mark for clip in stills.division().training for mark in clip.marks()}
    other = type(stills)(frames=1, clips=3)
    assert seen(file.training, variant, other) == Seen(0, 0, 3, True)
    other.clips = lambda: [*stills.training_clips(), *stills.clips()[:1]]
    del other.scored_clips, other.scored_marks
    assert seen(file.training, variant, other) == Seen(len(trained), 0, len(trained) + 1, True)


#: x264 at this preset has no macroblock tree, with which it rarely gives other bits for the same
#: tiny frames
REPEATABLE = ("h264[preset=superfast]",)
#: what is resumed: a plain training, one of two passes a step, one of phases under one optimiser,
#: one counted in steps
JOINED = replace(TINY, recipe="paper", codecs=REPEATABLE)
RESUMED = {
    "plain": ("bisenet[width=0.125]", TINY, 1),
    "accumulated": (
        "pspnet[width=0.125]",
        Options(**{**vars(TINY), "batch": 2, "accumulate": 2}),
        1,
    ),
    "between joined phases": ("arseg[backbone=bise18,width=0.125]", JOINED, 3),
    "within joined phases": ("arseg[backbone=bise18,width=0.125]", replace(JOINED, epochs=4), 5),
    "iterations": (
        "bisenet[width=0.125]",
        Options(**{**vars(TINY), "epochs": None, "iterations": 5}),
        2,
    ),
}


@pytest.mark.parametrize("case", RESUMED)
def test_resumed_training_ends_where_an_unbroken_one_does(case, stills, tmp_path, monkeypatch):
    method, options, stop = RESUMED[case]
    file = open_weights(trainer(stills, tmp_path / "whole.safetensors", method, options).run()[0])
    end_epoch, ended = Trainer._end_epoch, []

    def stop_after(self, *arguments):
        end_epoch(self, *arguments)
        ended.append(self)
        if len(ended) == stop:
            raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "_end_epoch", stop_after)
    with pytest.raises(KeyboardInterrupt):
        trainer(stills, tmp_path / "broken.safetensors", method, options).run()
    monkeypatch.setattr(Trainer, "_end_epoch", end_epoch)
    resumed = open_weights(
        trainer(stills, tmp_path / "broken.safetensors", method, options).run(resume=True)[0]
    )
    whole, tensors = file.tensors(), resumed.tensors()
    assert len(resumed.training["history"]) == len(file.training["history"]) > stop
    assert all(torch.equal(value, tensors[name]) for name, value in whole.items())


def test_passes_of_a_step_make_the_larger_batchs_gradient(stills, tmp_path):
    """With even class weights, and batch normalisation that does not tell the passes apart: the
    same up to rounding."""

    def stepped(batch, accumulate):
        options = Options(**{**vars(TINY), "epochs": 1, "batch": batch, "accumulate": accumulate})
        made = trainer(stills, tmp_path / "w.safetensors", "pspnet[width=0.125]", options)
        even = made.recipe.common.model_copy(update={"class_weights": "none"})
        made.course = replace(made.course, recipe=made.recipe.model_copy(update={"common": even}))
        made.model.eval()
        made.model.train = lambda mode=True: made.model
        path = made.run()[0]
        return open_weights(path).training["history"][0]["task"], made

    (whole, first), (cut, second) = stepped(8, 1), stepped(2, 4)
    assert cut == pytest.approx(whole, rel=1e-5)
    gradients = [
        {n: p.grad for n, p in made.model.named_parameters() if p.grad is not None}
        for made in (first, second)
    ]
    assert gradients[0].keys() == gradients[1].keys()
    largest = max(float(gradient.abs().max()) for gradient in gradients[0].values())
    for name, gradient in gradients[0].items():
        assert torch.allclose(gradients[1][name], gradient, atol=1e-4 * largest)


def rates_of(made, monkeypatch):
    """The phase and the learning rate of each step that a training will take."""
    rates: list[tuple[str, float]] = []
    step = Steps._step

    def seen(steps, number, passes, sizes):
        rates.append((made.phases[number].name, steps.optimiser.param_groups[0]["lr"]))
        return step(steps, number, passes, sizes)

    monkeypatch.setattr(Steps, "_step", seen)
    return rates


def test_iterations_end_in_the_middle_of_an_epoch(stills, tmp_path, monkeypatch):
    made = trainer(
        stills,
        tmp_path / "w.safetensors",
        options=Options(**{**vars(TINY), "epochs": None, "iterations": 3}),
    )
    rates = rates_of(made, monkeypatch)
    history = open_weights(made.run()[0]).training["history"]
    assert [entry["epoch"] for entry in history] == [1, 2]  # of 2 steps and of 1
    # one epoch and a half: a warm-up of half of it, then half a cosine
    taken = [rate for _, rate in rates]
    assert taken == pytest.approx([1e-3 * 0.05, 1e-3 * (0.05 + 0.95 * 2 / 3), 1e-3 * 0.75])


def test_the_record_holds_the_recipe(stills, tmp_path):
    options = Options(**{**vars(TINY), "learning_rate": 2e-3})
    training = open_weights(
        trainer(stills, tmp_path / "w.safetensors", options=options).run()[0]
    ).training
    assert training["recipe"]["name"] == "short"
    assert training["recipe"]["epochs"] == 2
    assert training["recipe"]["common"]["optimiser"]["learning_rate"] == 2e-3
    assert training["options"]["augmentation.crop"] == "[48, 64]"


def test_joined_phases_share_a_schedule(stills, tmp_path, monkeypatch):
    """AR-Seg's paper recipe: the rate of the phase with fusion goes on from where the phase without
    it ends."""
    options = Options(
        **{**vars(TINY), "recipe": "paper", "epochs": 4, "batch": 8, "codecs": REPEATABLE}
    )
    made = trainer(
        stills, tmp_path / "w.safetensors", "arseg[backbone=bise18,width=0.125]", options
    )
    taken = rates_of(made, monkeypatch)
    made.run()
    rates: dict[str, list[float]] = {}
    for phase, rate in taken:
        rates.setdefault(phase, []).append(rate)
    cosine = [1e-3 * 0.5 * (1 + math.cos(math.pi * n / 4)) for n in range(4)]
    assert rates["hr"] == pytest.approx(cosine)
    assert rates["lr"] + rates["fusion"] == pytest.approx(cosine)


def test_a_batch_too_small_to_normalise_is_refused(stills, tmp_path):
    with pytest.raises(UsageError, match=r"bisenet.*choose a --batch of 2 or more"):
        trainer(
            stills, tmp_path / "w.safetensors", options=Options(**{**vars(TINY), "batch": 1})
        ).run()


def test_fp16_needs_cuda(stills, tmp_path):
    with pytest.raises(UsageError, match="fp16 trains on CUDA alone"):
        trainer(
            stills,
            tmp_path / "w.safetensors",
            options=Options(**{**vars(TINY), "precision": "fp16"}),
        )


def test_resume_without_or_with_a_foreign_checkpoint(stills, tmp_path):
    with pytest.raises(WeightsError, match="nothing to resume"):
        trainer(stills, tmp_path / "w.safetensors").run(resume=True)
    (tmp_path / "w.safetensors.checkpoint").write_bytes(b"torn")
    with pytest.raises(WeightsError, match=r"is damaged.*train anew") as refused:
        trainer(stills, tmp_path / "w.safetensors").run(resume=True)
    assert "delete" not in str(refused.value)
    first = trainer(stills, tmp_path / "w.safetensors")
    loop.Checkpoint(first.identity(), 0, 1, {}, {}, 0.0, []).save(first.checkpoint_path)
    with pytest.raises(WeightsError, match=r"epochs='2'.*'5'"):
        trainer(
            stills, tmp_path / "w.safetensors", options=Options(**{**vars(TINY), "epochs": 5})
        ).run(resume=True)


def test_arseg_trains_on_stills_and_on_video(stills, patterns, tmp_path):
    """Its three phases in order, pairs made by ego-motion through the codec, or taken from real
    video."""
    for number, dataset in enumerate((stills, patterns)):
        path = trainer(
            dataset, tmp_path / f"{number}.safetensors", "arseg[backbone=bise18,width=0.125]"
        ).run()[0]
        file = open_weights(path)
        assert [entry["phase"] for entry in file.training["history"]] == [
            "hr",
            "hr",
            "lr",
            "fusion",
        ]
        assert "feature" in file.training["history"][-1]
        assert file.tensors()["fusion.value.weight"].abs().sum() > 0


def test_per_frame_weights_replace_phases(stills, tmp_path):
    high = trainer(stills, tmp_path / "high.safetensors").run()[0]
    low = trainer(stills, tmp_path / "low.safetensors", "bisenet[width=0.125,scale=0.5]").run()[0]
    options = Options(**{**vars(TINY), "initial": (high, low)})
    path = trainer(
        stills, tmp_path / "ar.safetensors", "arseg[backbone=bise18,width=0.125]", options
    ).run()[0]
    file = open_weights(path)
    assert {entry["phase"] for entry in file.training["history"]} == {"fusion"}
    assert torch.equal(
        file.tensors()["high.final.weight"], open_weights(high).tensors()["net.final.weight"]
    )


def test_divergence_is_an_error_in_words(stills, tmp_path):
    # every layer was found right: the rate alone is to blame
    with pytest.raises(UsageError, match=r"training diverged: [^;]*; resume with a lower --lr$"):
        trainer(
            stills,
            tmp_path / "w.safetensors",
            options=Options(**{**vars(TINY), "learning_rate": 1e30}),
        ).run()


def test_a_backbone_without_classes_starts_a_training(stills, tmp_path):
    """A partial file replaces no phase; the training goes on with its normalisation, and writes it
    down."""
    state = {
        name: value
        for name, value in trainer(stills, tmp_path / "a").model.state_dict().items()
        if "backbone" in name
    }
    state = {name: value + 1 for name, value in state.items() if value.is_floating_point()}
    variant = parse_variant("bisenet[width=0.125]")
    record = {"missing": '["net.head"]', "mean": "[0.1, 0.2, 0.3]", "std": "[0.5, 0.5, 0.5]"}
    (path,) = save_state(
        tmp_path / "backbone.safetensors",
        state,
        Origin(variant, (), "imported", {}),
        record,
        half=False,
    )
    started = trainer(
        stills, tmp_path / "b.safetensors", options=replace(TINY, initial=(path,), epochs=1)
    )
    assert list(started.phases) == list(started.model.phases())
    assert all(
        torch.equal(started.model.state_dict()[name], value) for name, value in state.items()
    )
    mean, _ = open_weights(started.run()[0]).statistics
    assert mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])


@pytest.mark.parametrize(
    ("codec", "words"),
    [
        ("h264[motion=none]", "needs motion vectors"),
        ("hevc[paper=arseg-camvid,crf=20]", "crf=20.* contradicts"),
        ("h264[preset=quick]", "unknown preset"),
        ("theora", "unknown codec"),
    ],
)
def test_a_codec_that_could_not_make_pairs_is_refused_before_anything_is_trained(
    codec, words, stills, tmp_path
):
    options = replace(TINY, codecs=(codec,))
    with pytest.raises(UsageError, match=words):
        trainer(stills, tmp_path / "w.safetensors", "arseg[backbone=bise18,width=0.125]", options)


def test_vectors_that_cannot_be_had_are_refused_before_anything_is_trained(
    stills, tmp_path, monkeypatch
):
    def missing(self, residual):
        raise MotionUnavailable("no reader of vectors here")

    monkeypatch.setattr(EncodedCodec, "_motion_source", missing)
    with pytest.raises(MotionUnavailable, match="no reader"):
        trainer(stills, tmp_path / "w.safetensors", "arseg[backbone=bise18,width=0.125]")
    # makes no pairs
    assert trainer(stills, tmp_path / "w.safetensors", "bisenet[width=0.125]").phases


@pytest.mark.parametrize("recipe", ["short", "paper"])
def test_arseg_trains_through_its_papers_encoding(recipe, stills, tmp_path):
    codecs = ("hevc[paper=arseg-camvid,bitrate=1M]",) if recipe == "short" else None
    options = replace(TINY, recipe=recipe, epochs=1, batch=8, codecs=codecs)
    made = trainer(
        stills, tmp_path / "w.safetensors", "arseg[backbone=bise18,width=0.125]", options
    )
    history = open_weights(made.run()[0]).training["history"]
    assert history[-1]["phase"] == "fusion"
    assert made.recipe.common.rate == "stated"


DFF = "dff[backbone=resnet18,width=0.125,motion=codec]"
JOINT = replace(TINY, recipe="paper", epochs=None, iterations=2)


def test_what_a_recipe_freezes_stays_as_it_was_given(stills, tmp_path):
    """DFF's paper: the first stages, and the ResNet's batch normalisation, statistics and all.
    Without a start they train."""
    blank = trainer(stills, tmp_path / "a", DFF, JOINT)
    state = {name: value.clone() for name, value in blank.model.state_dict().items()}
    state = {
        name: 1.25 * value + 0.01 if value.is_floating_point() else value
        for name, value in state.items()
    }
    (path,) = save_state(
        tmp_path / "start.safetensors",
        state,
        Origin(parse_variant(DFF), (), "imported", {}),
        {"missing": '["net.final"]'},
        half=False,
    )
    started = trainer(stills, tmp_path / "b.safetensors", DFF, replace(JOINT, initial=(path,)))
    started.run()
    after = started.model.state_dict()
    same = {name for name, value in state.items() if torch.equal(after[name], value)}
    kept = {
        name
        for name in state
        if name.startswith(("net.backbone.conv1.", "net.backbone.layer1.", "net.backbone.bn1."))
    }
    norms = {
        name
        for name in state
        if name.startswith("net.backbone.") and (".bn" in name or ".downsample.1" in name)
    }
    assert norms - kept
    assert same == kept | norms
    blank.run()
    changed = blank.model.state_dict()
    assert changed["net.backbone.bn1.num_batches_tracked"] == 2


def test_freezing_what_is_not_there_is_refused(stills, tmp_path, monkeypatch):
    table = {"epochs": 1, "phases": {"task": {"frozen_batch_norm": ["net.spine"]}}}
    monkeypatch.setattr(
        recipes, "_tables", lambda method: {"short": table} if method == "bisenet" else {}
    )
    with pytest.raises(
        UsageError, match=r"bisenet\[width=0.125\] has no part 'net.spine' to freeze"
    ):
        trainer(stills, tmp_path / "w.safetensors", options=replace(TINY, epochs=None))


def test_what_is_not_as_published_is_said_and_recorded(stills, tmp_path, capsys):
    """On stderr before training, once each; the start is asked for where there is none; the record
    holds the lines."""
    options = replace(TINY, recipe="paper", epochs=1, batch=8)
    made = trainer(
        stills, tmp_path / "w.safetensors", "pspnet[width=0.125,style=upsample]", options
    )
    said = capsys.readouterr().err
    assert made.recipe.departures
    assert all(
        said.count(f"not as published: {departure}") == 1 for departure in made.recipe.departures
    )
    assert "recipe paper starts from ImageNet's ResNet; without --init" in said
    path = made.run()[0]
    assert tuple(open_weights(path).training["recipe"]["departures"]) == made.recipe.departures
    capsys.readouterr()
    trainer(
        stills,
        tmp_path / "v",
        "pspnet[width=0.125,style=upsample]",
        replace(options, initial=(path,)),
    )
    assert "without --init" not in capsys.readouterr().err
