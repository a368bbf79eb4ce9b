"""Recipes: what the files hold, how they are laid over one another, what is typed wins, faults in
words."""

import shlex
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from vssbench.cli import bench
from vssbench.core import registry
from vssbench.core.errors import UsageError
from vssbench.core.variant import parse_variant
from vssbench.nets.resnet import ResNet
from vssbench.training import recipe as recipes
from vssbench.training.options import Options
from vssbench.training.recipe import Recipe, load_recipe, names, with_parameters
from vssbench.weights.file import open_weights

METHODS = [name for name in registry.plugins("methods") if recipes.recipe_file(name).is_file()]
DATASETS = ("camvid", "cityscapes", "synthetic")


@pytest.fixture
def written(monkeypatch):
    """Puts recipe files, as dictionaries, in place of the shipped ones."""

    def put(**files):
        monkeypatch.setattr(recipes, "_tables", lambda method: files.get(method, {}))

    return put


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dataset", DATASETS)
def test_every_shipped_recipe_is_complete_and_fits_its_method(method, dataset):
    assert {"paper", "short"} <= set(names(method))
    for name in names(method):
        recipe = load_recipe(method, dataset, name)
        settled = with_parameters(parse_variant(method), recipe)
        with torch.device("meta"):
            model = registry.create("methods", settled, classes=3)
        assert set(recipe.phases) <= {phase.name for phase in model.phases()}
        parts = {part for parameter, _ in model.named_parameters() for part in parameter.split(".")}
        assert set(recipe.common.optimiser.multipliers) - {"*"} <= parts
        for codec in recipe.common.codecs:
            registry.resolved("codecs", parse_variant(codec))


def test_files_belong_to_methods():
    assert set(METHODS) >= {"arseg", "bisenet", "copy", "dff", "dsrl", "icnet", "pspnet", "warp"}


def test_the_default_is_what_the_shipped_weights_were_made_with():
    recipe = load_recipe("pspnet", "synthetic", "short")
    assert (recipe.epochs, recipe.precision, recipe.common.batch, recipe.common.clip) == (
        40,
        "bf16",
        8,
        5.0,
    )
    assert recipe.common.class_weights == "enet"
    assert (recipe.common.optimiser.kind, recipe.common.optimiser.learning_rate) == ("adamw", 1e-3)
    assert (recipe.common.schedule.warmup, recipe.common.schedule.warmup_unit) == (1, "epochs")
    assert recipe.common.augmentation.crop == (240, 320)


def test_arsegs_published_settings():
    camvid = load_recipe("arseg", "camvid", "paper")
    assert (camvid.epochs, camvid.common.batch, camvid.common.optimiser.kind) == (100, 8, "adam")
    assert camvid.common.augmentation.crop == (720, 960)
    assert (camvid.of("lr").share, camvid.of("fusion").share) == (0.5, 0.5)
    assert (camvid.of("fusion").gaps, camvid.of("fusion").continues) == ((11, 11), "lr")
    assert camvid.of("hr") == camvid.common
    city = load_recipe("arseg", "cityscapes", "paper")
    assert (city.epochs, city.common.optimiser.kind, city.common.optimiser.learning_rate) == (
        200,
        "sgd",
        0.01,
    )
    assert (city.of("lr").share, city.of("fusion").share) == (0, 1)
    assert (city.of("hr").augmentation.jitter, city.of("fusion").augmentation.jitter) == (0.4, 0.5)
    assert city.of("fusion").augmentation.crop == (1024, 512)


def test_arsegs_network_codec_and_start_are_the_published_ones():
    """x265 as the authors call it, their accumulation, semseg's network on Cityscapes, where the LR
    network starts."""
    accumulated = "fill=zero,whole_pixels=true"
    for dataset, parameters in (
        ("camvid", {"start": "own"}),
        ("cityscapes", {"start": "own", "style": "semseg"}),
    ):
        recipe = load_recipe("arseg", dataset, "paper")
        assert recipe.parameters == parameters
        assert recipe.of("fusion").codecs == (f"hevc[paper=arseg-{dataset},{accumulated}]",)
        assert (recipe.of("fusion").rate, recipe.of("fusion").pixels) == ("stated", "original")
        assert recipe.of("fusion").batch == 8
    bise = load_recipe(parse_variant("arseg[backbone=bise18]"), "cityscapes", "paper")
    assert bise.parameters == {"start": "hr", "style": "upsample"}
    assert (bise.of("hr").batch, bise.of("fusion").batch) == (8, 16)
    with torch.device("meta"):
        registry.create(
            "methods", with_parameters(parse_variant("arseg[backbone=bise18]"), bise), classes=3
        )


def test_dffs_paper_keeps_imagenets_first_stages_and_batch_normalisation():
    joint = load_recipe("dff", "cityscapes", "paper").of("joint")
    assert joint.frozen == ("net.backbone.conv1", "net.backbone.bn1", "net.backbone.layer1")
    assert joint.frozen_batch_norm == ("net.backbone",)
    assert load_recipe("dff", "cityscapes", "short").of("joint").frozen_batch_norm == ()


def test_xception_trains_as_long_as_its_authors_did():
    variant = parse_variant("bisenet[backbone=xception39]")
    assert load_recipe(variant, "cityscapes", "paper").iterations == 140_000
    assert load_recipe(variant, "camvid", "paper").epochs == 100
    assert load_recipe("bisenet", "cityscapes", "paper").iterations == 80_000


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dataset", DATASETS)
def test_every_paper_recipe_says_where_it_is_not_the_papers(method, dataset):
    recipe = load_recipe(method, dataset, "paper")
    assert recipe.departures
    assert recipe.selection
    assert recipe.initial
    for line in (*recipe.departures, recipe.selection, recipe.initial):
        assert line == line.strip()
        assert "\n" not in line
        assert len(line) <= 120
    assert not load_recipe(method, dataset, "short").initial


def test_conditions_hold_by_the_typed_parameter_and_lie_under_the_dataset(written):
    table = {
        "epochs": 1, "batch": 1, "parameters": {"style": "semseg"},
        "when": {"layers=50": {"batch": 2, "clip": 3}, "style=semseg": {"epochs": 5}},
        "street": {"batch": 4, "when": {"layers=50": {"batch": 6}}},
        "lane": {"batch": 7},
    }  # fmt: skip
    written(pspnet={"short": table})
    assert (
        load_recipe("pspnet", "lake", "short").common.batch,
        load_recipe("pspnet", "lake", "short").epochs,
    ) == (1, 5)
    assert load_recipe(parse_variant("pspnet[style=upsample]"), "lake", "short").epochs == 1
    fifty = parse_variant("pspnet[layers=50]")
    assert [
        load_recipe(fifty, place, "short").common.batch for place in ("lake", "street", "lane")
    ] == [2, 6, 7]
    assert load_recipe(fifty, "street", "short", {"batch": 9}).common.batch == 9
    table["when"] = {"depth=50": {"batch": 2}}
    with pytest.raises(UsageError, match="when 'depth=50', and pspnet has no parameter 'depth'"):
        load_recipe("pspnet", "lake", "short")


def test_a_typed_codec_that_states_its_rate_is_taken_at_that_rate():
    typed = {
        text: load_recipe("arseg", "camvid", "short", Options(codecs=(text,)).overrides())
        .of("fusion")
        .rate
        for text in ("h264", "h264[bitrate=1M]", "hevc[qp=30]", "hevc[paper=arseg-camvid]", "raw")
    }
    assert typed == {
        "h264": "random", "h264[bitrate=1M]": "stated", "hevc[qp=30]": "stated",
        "hevc[paper=arseg-camvid]": "stated",
        "raw": "random",
    }  # fmt: skip
    assert load_recipe("arseg", "camvid", "short").of("fusion").rate == "random"


def test_what_is_said_is_no_part_of_a_trainings_identity():
    recipe = load_recipe("arseg", "camvid", "paper")
    other = recipe.model_copy(update={"departures": (), "selection": "", "initial": ""})
    assert recipe.flat() == other.flat()
    assert recipe.model_dump()["departures"]


def test_the_command_that_is_named_makes_the_start_that_is_asked_for(tmp_path, monkeypatch):
    """The start is a ResNet-18 as torchvision names its entries; a narrower network is told
    that no such file fits."""
    monkeypatch.chdir(tmp_path)
    backbone = {
        **ResNet(18).state_dict(),
        "fc.weight": torch.zeros(1000, 512),
        "fc.bias": torch.zeros(1000),
    }
    torch.save(backbone, "resnet18.pth")
    arguments = ["train", "bisenet", "-d", "cityscapes", "--recipe", "paper", "--show"]
    shown = CliRunner().invoke(bench, arguments)
    assert "recipe paper starts from ImageNet's ResNet-18; without --init" in shown.stdout
    command = shown.stdout.split("python bench.py ")[1].split("; then add --init ")
    made = CliRunner().invoke(bench, shlex.split(command[0]))
    assert made.exit_code == 0, made.output
    start = command[1].strip()
    assert open_weights(Path(start)).variant.name == "bisenet"
    assert "--init" not in CliRunner().invoke(bench, [*arguments, "--init", start]).stdout
    narrow = CliRunner().invoke(bench, ["train", "bisenet[width=0.5]", *arguments[2:]]).stdout
    assert "its backbone has 0.5 times the channels of a ResNet-18" in narrow


def test_baselines_are_trained_as_their_network():
    assert load_recipe("copy", "camvid", "paper") == load_recipe("pspnet", "camvid", "paper")


def test_tables_lie_over_one_another(written):
    written(
        default={
            "short": {"epochs": 4, "batch": 2, "optimiser": {"kind": "sgd", "learning_rate": 0.5}}
        },
        m={
            "short": {
                "batch": 3,
                "optimiser": {"momentum": 0.1},
                "street": {"iterations": 9},
                "parameters": {"scale": 0.5},
            }
        },
    )
    recipe = load_recipe("m", "lake", "short")
    assert (recipe.epochs, recipe.iterations, recipe.common.batch) == (4, None, 3)
    assert (recipe.common.optimiser.learning_rate, recipe.common.optimiser.momentum) == (0.5, 0.1)
    assert (
        load_recipe("m", "street", "short").epochs,
        load_recipe("m", "street", "short").iterations,
    ) == (None, 9)


def test_a_recipe_begins_with_another(written):
    first = {"epochs": 4, "batch": 2, "street": {"batch": 3, "parameters": {"scale": 0.5}}}
    second = {"begins_with": "first", "iterations": 9, "street": {"parameters": {"scale": 0.75}}}
    written(
        m={
            "first": first,
            "second": second,
            "egg": {"begins_with": "hen"},
            "hen": {"begins_with": "egg"},
        }
    )
    street, lake = (load_recipe("m", dataset, "second") for dataset in ("street", "lake"))
    assert (street.epochs, street.iterations, street.common.batch, street.parameters) == (
        None,
        9,
        3,
        {"scale": 0.75},
    )
    assert (lake.iterations, lake.common.batch, lake.parameters) == (9, 2, {})
    with pytest.raises(UsageError, match="begin with one another: egg, hen, egg"):
        load_recipe("m", "street", "egg")


def test_what_is_typed_wins_over_everything(written):
    written(
        default={
            "short": {
                "epochs": 4,
                "phases": {"two": {"batch": 6, "optimiser": {"learning_rate": 0.1}, "clip": 1}},
            }
        }
    )
    typed = Options(epochs=None, iterations=7, batch=5, learning_rate=0.25, crop=(8, 8)).overrides()
    recipe = load_recipe("m", "street", "short", typed)
    assert (recipe.epochs, recipe.iterations) == (None, 7)
    for phase in ("one", "two"):
        assert recipe.of(phase).batch == 5
        assert recipe.of(phase).optimiser.learning_rate == 0.25
        assert recipe.of(phase).augmentation.crop == (8, 8)
    assert (recipe.of("one").clip, recipe.of("two").clip) == (0, 1)


def test_parameters_give_way_to_typed_ones():
    recipe = Recipe(name="r", epochs=1, parameters={"scale": 0.5, "width": 0.25})
    settled = with_parameters(parse_variant("pspnet[scale=0.75]"), recipe)
    assert settled.params == {"scale": 0.75, "width": 0.25}
    with pytest.raises(UsageError, match="no parameter 'speed'"):
        with_parameters(
            parse_variant("pspnet"), Recipe(name="r", epochs=1, parameters={"speed": 2})
        )


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"epoch": 3}, "unknown key 'epoch'"),
        ({"optimiser": {"rate": 1}}, r"unknown key 'optimiser.rate'"),
        ({"optimizer": {"kind": "sgd"}}, r"unknown key 'optimizer.kind'"),
        ({"augmentation": {"zoom": 1}}, r"unknown key 'augmentation.zoom'"),
        ({"phases": {"hr": {"speed": 1}}}, r"unknown key 'phases.hr.speed'"),
        (
            {"optimiser": {"kind": "lion"}},
            "optimiser.kind: .*'sgd', 'adam' or 'adamw'; found 'lion'",
        ),
        ({"epochs": 0}, "epochs: .*greater than 0; found 0"),
        ({"iterations": 5}, "either epochs or iterations"),
        ({"gaps": [5, 2]}, "the smaller first"),
        ({"schedule": {"kind": "step"}}, "milestones are shares"),
        ({"schedule": {"milestones": [0.5]}}, "milestones are shares"),
        ({"optimiser": {"nesterov": True}}, "nesterov is for"),
        ({"augmentation": {"scales": [2, 1]}}, "the smaller first"),
        ({"epochs": None}, "either epochs or iterations"),
        ({"departures": "one"}, "departures: .*found 'one'"),
        ({"departures": [""]}, "departures.0: .*at least 1 character"),
        ({"rate": "fast"}, "rate: .*'random' or 'stated'; found 'fast'"),
        ({"stages": {"keep": [1, 0.5], "width": [1]}}, "stages are of one parameter"),
        ({"stages": {"keep": []}}, "stages are of one parameter"),
    ],
)
def test_faults_are_words(written, table, message):
    written(default={"short": {"epochs": 4, **table}})
    with pytest.raises(UsageError, match=message):
        load_recipe("m", "street", "short")


def test_unknown_recipes_list_what_there_is():
    with pytest.raises(
        UsageError,
        match="icnet has no recipe 'long'; it has liminn, paper, progressive, reference, short",
    ):
        load_recipe("icnet", "camvid", "long")
    with pytest.raises(UsageError, match="unknown method 'mine'"):
        load_recipe("mine", "camvid", "paper")


def test_show_prints_the_recipe_and_trains_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(
        bench, ["train", "arseg", "-d", "camvid", "--recipe", "paper", "--show", "--lr", "0.5"]
    )
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert "optimiser.learning_rate = 0.5" in lines
    assert (
        "phase fusion: pairs 11 to 11 frames apart, 50 epochs, batch 8, adam at 0.5, goes on from "
        "lr" in lines
    )
    assert [line for line in lines if line.startswith("not as published: ")] == [
        f"not as published: {departure}"
        for departure in load_recipe("arseg", "camvid", "paper").departures
    ]
    assert sum("best mIoU on the val split" in line for line in lines) == 1
    assert not list(tmp_path.iterdir())


def shown(*command):
    result = CliRunner().invoke(bench, ["train", *command, "--show"])
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def test_show_prints_the_stages():
    lines = shown("icnet", "-d", "camvid", "--recipe", "progressive")
    stages = [
        f"stage {number}: icnet[keep={keep}], all of the above"
        for number, keep in ((1, "1"), (2, "0.75"), (3, "0.5"))
    ]
    assert [line for line in lines if line.startswith("stage ")] == stages
    assert any(line.startswith("not as published: ICNet itself") for line in lines)
    assert not any("no progressive pruning" in line for line in lines)


def test_icnets_paper_recipe_says_how_to_prune():
    assert any(
        "--recipe progressive" in line
        for line in shown("icnet", "-d", "cityscapes", "--recipe", "paper")
    )


def test_show_refuses_stages_that_a_variant_cannot_have():
    result = CliRunner().invoke(
        bench, ["train", "icnet[form=mmseg]", "-d", "camvid", "--recipe", "progressive", "--show"]
    )
    assert isinstance(result.exception, UsageError)
    assert "no choice of keep" in str(result.exception)


def test_epochs_and_iterations_exclude_each_other():
    result = CliRunner().invoke(
        bench, ["train", "pspnet", "-d", "synthetic", "--epochs", "1", "--iterations", "1"]
    )
    assert isinstance(result.exception, UsageError)
    assert "exclude each other" in str(result.exception)
