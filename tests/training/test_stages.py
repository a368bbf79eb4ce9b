"""Trainings in stages: ICNet is pruned step by step, each stage starts from the one before, a
broken training goes on."""

from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner

from tests.conftest import Patterns
from vssbench.cli import bench
from vssbench.core.errors import UsageError, WeightsError
from vssbench.core.variant import parse_variant
from vssbench.training.loop import Trainer
from vssbench.training.options import Options
from vssbench.training.recipe import Recipe, load_recipe
from vssbench.training.stages import Assignment, stage_variants, train_in_stages
from vssbench.weights.file import open_weights

TINY = Options(recipe="progressive", epochs=2, batch=4, crop=(65, 65), precision="fp32", workers=0)
ICNET = "icnet[width=0.125,backbone=resnet18]"


def assignment(dataset, folder, method=ICNET, options=TINY):
    return Assignment(
        parse_variant(method), parse_variant("patterns"), dataset, options, folder / "w.safetensors"
    )


def names(folder):
    """All that a training leaves but its drawn curves."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".png")


def test_every_stage_is_trained_from_the_one_before(stills, tmp_path, capfd):
    paths = list(train_in_stages(assignment(stills, tmp_path)))
    assert [path.name for path in paths] == [
        "w-keep1.safetensors",
        "w-keep0.75.safetensors",
        "w.safetensors",
    ]
    assert names(tmp_path) == sorted(path.name for path in paths)
    files = [open_weights(path) for path in paths]
    assert [file.metadata["keep"] for file in files] == ["1", "0.75", "0.5"]
    assert [[entry["file"] for entry in file.training["initial"]] for file in files] == [
        [],
        *([p.name] for p in paths[:2]),
    ]
    said = " ".join(capfd.readouterr().err.split())
    assert "pruned the weights of keep=1 to keep=0.75" in said
    assert "pruned the weights of keep=0.75 to keep=0.5" in said


def test_the_command_prints_every_stages_file(stills, tmp_path, monkeypatch):
    monkeypatch.setattr("vssbench.cli.options.open_dataset", lambda variant, root: stills)
    out = tmp_path / "w.safetensors"
    given = [
        "--recipe",
        "progressive",
        "--epochs",
        "1",
        "--batch",
        "4",
        "--crop",
        "65x65",
        "--workers",
        "0",
    ]
    result = CliRunner().invoke(
        bench, ["train", ICNET, "-d", "patterns", *given, "--out", str(out)]
    )
    assert result.exit_code == 0, result.output
    files = ("w-keep1.safetensors", "w-keep0.75.safetensors", "w.safetensors")
    assert result.stdout.splitlines() == [str(tmp_path / name) for name in files]


def test_pruned_weights_are_a_better_start_than_random_ones(stills, tmp_path):
    """On the same few images, after the same few steps, with a file that --init gives."""
    options = replace(TINY, recipe="paper", learning_rate=0.02)

    def history(name, method, **changed):
        path = tmp_path / f"{name}.safetensors"
        what = (
            parse_variant(method),
            parse_variant("patterns"),
            stills,
            replace(options, **changed),
        )
        return open_weights(Trainer(*what, path).run()[0]).training["history"]

    history("full", ICNET.replace("]", ",keep=1]"), epochs=6)
    pruned, fresh = (
        history("half", ICNET, initial=(tmp_path / "full.safetensors",)),
        history("fresh", ICNET),
    )
    assert len(pruned) == len(fresh) == 2
    for after, random in zip(pruned, fresh, strict=True):
        assert after["task"] < 0.75 * random["task"]
        assert (
            after["guidance24"] + after["guidance12"] < random["guidance24"] + random["guidance12"]
        )


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """The folder of a training of three stages."""
    folder = tmp_path_factory.mktemp("unbroken")
    list(train_in_stages(assignment(Patterns(frames=1, clips=8), folder)))
    return folder


@pytest.mark.parametrize("stop", [1, 2, 3, 4, 5])
def test_a_broken_training_goes_on_where_it_was(stop, unbroken, stills, tmp_path, monkeypatch):
    """After either epoch of the first two stages, and after the first of the last: the weights of
    an unbroken training."""
    end_epoch, ended = Trainer._end_epoch, []

    def stop_after(self, *arguments):
        end_epoch(self, *arguments)
        ended.append(self)
        if len(ended) == stop:
            raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "_end_epoch", stop_after)
    with pytest.raises(KeyboardInterrupt):
        list(train_in_stages(assignment(stills, tmp_path)))
    monkeypatch.setattr(Trainer, "_end_epoch", end_epoch)
    paths = list(train_in_stages(assignment(stills, tmp_path), resume=True))
    assert len(paths) == 3 - (stop - 1) // 2  # the stages that were finished are left out
    assert names(tmp_path) == names(unbroken)
    broken = open_weights(paths[-1]).tensors()
    assert all(
        torch.equal(value, broken[name])
        for name, value in open_weights(unbroken / "w.safetensors").tensors().items()
    )


def test_a_training_broken_between_stages_begins_the_next(stills, tmp_path):
    next(train_in_stages(assignment(stills, tmp_path)))
    assert names(tmp_path) == ["w-keep1.safetensors"]
    paths = list(train_in_stages(assignment(stills, tmp_path), resume=True))
    assert [path.name for path in paths] == ["w-keep0.75.safetensors", "w.safetensors"]
    with pytest.raises(WeightsError, match="nothing to resume"):
        list(train_in_stages(assignment(stills, tmp_path), resume=True))


def test_another_trainings_stage_is_not_taken(stills, tmp_path):
    next(train_in_stages(assignment(stills, tmp_path)))
    with pytest.raises(WeightsError, match="nothing to resume"):
        list(
            train_in_stages(
                assignment(stills, tmp_path, options=replace(TINY, seed=1)), resume=True
            )
        )


def test_stages_end_at_the_variants_own_value():
    recipe = load_recipe("icnet", "camvid", "progressive")
    assert recipe.iterations == 10_000  # of the recipe that it begins with

    def stages(method):
        return [str(stage) for stage in stage_variants(parse_variant(method), recipe)]

    assert stages("icnet") == ["icnet[keep=1]", "icnet[keep=0.75]", "icnet"]
    assert stages("icnet[keep=1]") == ["icnet[keep=1]"]
    assert len(stages("icnet[keep=0.25]")) == 4
    with pytest.raises(
        UsageError, match=r"stages of keep=1, 0\.75, 0\.5, 0\.25, and keep=0\.6 is none of them"
    ):
        stages("icnet[keep=0.6]")
    with pytest.raises(UsageError, match="pspnet has no such parameter"):
        stage_variants(parse_variant("pspnet"), load_recipe("icnet", "synthetic", "progressive"))


def test_a_recipe_without_stages_has_one():
    assert stage_variants(parse_variant("pspnet"), Recipe(name="r", epochs=1)) == [
        parse_variant("pspnet")
    ]
