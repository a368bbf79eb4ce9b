"""Recipes: what the files hold, how they are laid over one another, what is typed wins, faults in words."""

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from vssbench import registry
from vssbench.cli import bench
from vssbench.errors import UsageError
from vssbench.training import recipe as recipes
from vssbench.training.loop import Options
from vssbench.training.recipe import Recipe, load_recipe, names, with_parameters
from vssbench.variant import parse_variant

FILES = sorted(path.stem for path in (Path(recipes.__file__).parent / "recipes").glob("*.toml"))
METHODS = [name for name in registry.plugins("methods") if name in FILES]
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
    assert set(FILES) - {"default", "dff", "dsrl"} <= set(registry.plugins("methods"))


def test_the_default_is_what_the_shipped_weights_were_made_with():
    recipe = load_recipe("a method without a file", "synthetic", "short")
    assert (recipe.epochs, recipe.precision, recipe.common.batch, recipe.common.clip) == (40, "bf16", 8, 5.0)
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
    assert (city.epochs, city.common.optimiser.kind, city.common.optimiser.learning_rate) == (200, "sgd", 0.01)
    assert (city.of("lr").share, city.of("fusion").share) == (0, 1)
    assert (city.of("hr").augmentation.jitter, city.of("fusion").augmentation.jitter) == (0.4, 0.5)
    assert city.of("fusion").augmentation.crop == (1024, 512)


def test_baselines_are_trained_as_their_network():
    assert load_recipe("copy", "camvid", "paper") == load_recipe("pspnet", "camvid", "paper")


def test_tables_lie_over_one_another(written):
    written(
        default={"short": {"epochs": 4, "batch": 2, "optimiser": {"kind": "sgd", "learning_rate": 0.5}}},
        m={"short": {"batch": 3, "optimiser": {"momentum": 0.1}, "street": {"iterations": 9}, "parameters": {"scale": 0.5}}},
    )
    recipe = load_recipe("m", "lake", "short")
    assert (recipe.epochs, recipe.iterations, recipe.common.batch) == (4, None, 3)
    assert (recipe.common.optimiser.learning_rate, recipe.common.optimiser.momentum) == (0.5, 0.1)
    assert (load_recipe("m", "street", "short").epochs, load_recipe("m", "street", "short").iterations) == (None, 9)


def test_what_is_typed_wins_over_everything(written):
    written(default={"short": {"epochs": 4, "phases": {"two": {"batch": 6, "optimiser": {"learning_rate": 0.1}, "clip": 1}}}})
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
        with_parameters(parse_variant("pspnet"), Recipe(name="r", epochs=1, parameters={"speed": 2}))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"epoch": 3}, "unknown key 'epoch'"),
        ({"optimiser": {"rate": 1}}, r"unknown key 'optimiser.rate'"),
        ({"optimizer": {"kind": "sgd"}}, r"unknown key 'optimizer.kind'"),
        ({"augmentation": {"zoom": 1}}, r"unknown key 'augmentation.zoom'"),
        ({"phases": {"hr": {"speed": 1}}}, r"unknown key 'phases.hr.speed'"),
        ({"optimiser": {"kind": "lion"}}, "optimiser.kind: .*'sgd', 'adam' or 'adamw'; found 'lion'"),
        ({"epochs": 0}, "epochs: .*greater than 0; found 0"),
        ({"iterations": 5}, "either epochs or iterations"),
        ({"gaps": [5, 2]}, "the smaller first"),
        ({"schedule": {"kind": "step"}}, "milestones are shares"),
        ({"schedule": {"milestones": [0.5]}}, "milestones are shares"),
        ({"optimiser": {"nesterov": True}}, "nesterov is for"),
        ({"augmentation": {"scales": [2, 1]}}, "the smaller first"),
        ({"epochs": None}, "either epochs or iterations"),
    ],
)
def test_faults_are_words(written, table, message):
    written(default={"short": {"epochs": 4, **table}})
    with pytest.raises(UsageError, match=message):
        load_recipe("m", "street", "short")


def test_unknown_recipes_list_what_there_is():
    with pytest.raises(UsageError, match="icnet has no recipe 'long'; it has liminn, paper, short"):
        load_recipe("icnet", "camvid", "long")
    with pytest.raises(UsageError, match="mine has no recipe 'paper'; it has short"):
        load_recipe("mine", "camvid", "paper")


def test_show_prints_the_recipe_and_trains_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(bench, ["train", "arseg", "-d", "camvid", "--recipe", "paper", "--show", "--lr", "0.5"])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert "optimiser.learning_rate = 0.5" in lines
    assert "phase fusion: pairs 11 to 11 frames apart, 50 epochs, batch 8, adam at 0.5, goes on from lr" in lines
    assert not list(tmp_path.iterdir())


def test_epochs_and_iterations_exclude_each_other():
    result = CliRunner().invoke(bench, ["train", "pspnet", "-d", "synthetic", "--epochs", "1", "--iterations", "1"])
    assert isinstance(result.exception, UsageError)
    assert "exclude each other" in str(result.exception)
