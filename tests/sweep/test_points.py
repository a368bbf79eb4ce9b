"""Grids as they are written: axes, includes, excludes, options that win, faults in words; the
papers' grids of ``examples/``."""

from __future__ import annotations

from pathlib import Path

import pytest
import rich_click as click

from vssbench.cli.sweep import NOW
from vssbench.cli.sweep import sweep as command
from vssbench.core import registry
from vssbench.core.errors import UsageError, WeightsError
from vssbench.core.variant import parse_variant
from vssbench.cost.gmacs import meta_model
from vssbench.protocol import protocol
from vssbench.sweep.defaults import DEFAULT_CODECS, DEFAULT_METHODS
from vssbench.sweep.grid import with_gop
from vssbench.sweep.planner import Planner
from vssbench.sweep.points import Point, Sweep, chosen, points, read

EXAMPLES = Path(__file__).parents[2] / "examples"
#: experiments of each file, counted in the papers
COUNTS = {
    "arseg-table1": 16,
    "arseg-table2": 8,
    "arseg-table3": 18 + 3,
    "arseg-table4": 8,
    "arseg-table5": 6,
    "bisenet": 7,
    "dff-figure3": 60,
    "dsrl": 8,
    "icnet-table2": 3,
}
CLASSES = {"camvid": 12, "cityscapes": 19}


@pytest.fixture
def write(tmp_path):
    def written(text: str) -> Path:
        path = tmp_path / "grid.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return written


def test_the_grid_is_the_product_of_its_axes(write):
    path = write(
        'method = ["pspnet", "warp"]\ndataset = "synthetic"\ncodec = ["h264", "raw"]\n'
        "gop = [6, 12]\nseed = [0, 1, 2]\n"
    )
    grid = points(read(path))
    assert len(grid) == len(set(grid)) == 2 * 2 * 2 * 3
    assert Point("warp", "synthetic", "raw", gop=6, seed=2) in grid


def test_nothing_at_all_is_what_run_has():
    grid = points(read(None))
    assert [point.method for point in grid[: len(DEFAULT_METHODS)]] == list(DEFAULT_METHODS)
    assert {point.codec for point in grid} == set(DEFAULT_CODECS)


def test_an_include_takes_what_it_does_not_say_and_an_exclude_leaves_out(write):
    path = write(
        'method = ["pspnet", "warp"]\ndataset = "synthetic"\ncodec = "h264"\ngop = [6, 12]\n'
        '[[include]]\nmethod = "copy"\nseed = 7\n'
        '[[exclude]]\nmethod = "warp"\ngop = 12\n'
    )
    assert [(point.method, point.gop, point.seed) for point in points(read(path))] == [
        ("pspnet", 6, 0), ("warp", 6, 0), ("pspnet", 12, 0), ("copy", 6, 7), ("copy", 12, 7),
    ]  # fmt: skip


def test_a_variant_is_excluded_by_the_parameters_that_are_named(write):
    path = write(
        'method = ["arseg[scale=0.5]", "arseg[scale=0.5,window=3]", "arseg"]\ncodec = "raw"\n'
        '[[exclude]]\nmethod = "arseg[scale=0.5]"\n'
    )
    assert [point.method for point in points(read(path))] == ["arseg"]


def test_options_win_over_the_file_and_its_includes(write):
    path = write(
        'method = "pspnet"\nseed = [1, 2]\nworkers = 3\n[[include]]\nmethod = "warp"\nseed = 3\n'
    )
    sweep = read(path, {"seed": (9,), "workers": 2, "data-root": "/data"})
    assert sweep.workers == 2
    grid = points(sweep)
    assert {point.seed for point in grid} == {9}
    assert {point.method for point in grid} == {"pspnet", "warp"}
    assert {point.data_root for point in grid} == {"/data"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('metod = "pspnet"', r"unknown key 'metod'.* Did you mean 'method'"),
        ('[[include]]\nsede = 1\nmethod = "warp"', r"\[\[include\]\] 1: unknown key 'sede'"),
        ("[[exclude]]\nworkers = 1", r"unknown key 'workers'"),
        ("gop = 0", r"gop = 0 cannot be used"),
        ('time-limit = "soon"', r"time-limit = 'soon' cannot be used: .*2h"),
        ('precision = "fp8"', r"precision = 'fp8' cannot be used"),
        ("method = [", r"is no TOML"),
        ("include = 3", r"include = 3 cannot be used"),
        ('[[exclude]]\ndataset = "synthetic"', "every one is excluded"),
        ("gop = true", r"gop = True cannot be used: .* integer"),
        ('gop = [12, "30"]', r"gop = '30' cannot be used: .* integer"),
        ("seed = 1.0", r"seed = 1.0 cannot be used: .* integer"),
        ("seed = -1", r"seed = -1 cannot be used: .* greater than or equal to 0"),
        ("seed = 99999999999", r"seed = 99999999999 cannot be used: .* less than"),
        ("threads = 2000000000", r"threads = 2000000000 cannot be used: .* or equal to 1024"),
        ('memory-limit = "4"', r"memory-limit = '4' cannot be used: .* less than any process"),
        ('runs = ""', r"runs = '' cannot be used: .* at least 1 character"),
        ("workers = true", r"workers = True cannot be used: .* integer"),
        ('latency = "yes"', r"latency = 'yes' cannot be used: .* boolean"),
        ('data_root = "x"', r"unknown key 'data_root'. Did you mean 'data-root'"),
        ('[[include]]\ndata_root = "x"', r"\[\[include\]\] 1: unknown key 'data_root'"),
        ("method = []", r"method = \[\] is empty: give a value"),
        ("[[exclude]]\nseed = []", r"\[\[exclude\]\] 1: seed = \[\] is empty"),
        ("[[exclude]]", r"\[\[exclude\]\] 1 is empty"),
        ("exclude = 3", r"exclude = 3 cannot be used: expected a list"),
        ("exclude = [3]", r"exclude = 3 cannot be used: expected a table"),
    ],
)
def test_a_fault_is_said_by_its_key(write, text, said):
    with pytest.raises(UsageError, match=said):
        points(read(write(text)))


def test_an_exclude_that_leaves_out_nothing_is_told(write, capsys):
    path = write(
        'method = "pspnet"\ngop = [6, 12]\n[[exclude]]\ngop = 12\n[[exclude]]\nmethod = "wrap"\n'
    )
    assert {point.gop for point in points(read(path))} == {6}
    assert capsys.readouterr().err == (
        "[[exclude]] 2 leaves out nothing: no experiment matches it\n"
    )


def test_a_file_that_is_missing_is_said(tmp_path):
    with pytest.raises(UsageError, match=r"cannot read .*absent\.toml"):
        read(tmp_path / "absent.toml")


def test_only_some_of_a_grid(write):
    grid = points(read(write('method = ["pspnet", "warp"]\ncodec = ["raw", "h264[gop=6]"]')))
    assert [point.method for point in chosen(grid, ["warp"])] == ["warp", "warp"]
    assert len(chosen(grid, ["warp", "h264"])) == 3
    with pytest.raises(UsageError, match="--only dff: no experiment has such"):
        chosen(grid, ["dff"])


def test_keys_are_the_names_of_the_options():
    options = {
        max(each.opts, key=len).removeprefix("--")
        for each in command.params
        if isinstance(each, click.Option) and each.name not in NOW
    }
    keys = {each.alias or name for name, each in Sweep.model_fields.items()}
    assert keys - {"include", "exclude"} == options


def test_every_example_is_counted():
    assert sorted(path.stem for path in EXAMPLES.glob("*.toml")) == sorted(COUNTS)


@pytest.mark.parametrize("name", COUNTS)
def test_an_example_is_a_grid_of_variants_that_are_there(name):
    grid = points(read(EXAMPLES / f"{name}.toml"))
    assert len(grid) == COUNTS[name]
    for point in grid:
        dataset = parse_variant(point.dataset)
        assert meta_model(parse_variant(point.method), CLASSES[dataset.name]) is not None
        registry.resolved("datasets", dataset)
        protocol(point.protocol)
    for codec, gop in {(point.codec, point.gop) for point in grid}:
        made = registry.create("codecs", with_gop(parse_variant(codec), gop))
        assert gop is None or made.gop == gop


def test_the_readme_names_every_example():
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert all(f"`{name}.toml`" in text for name in COUNTS)


def test_what_many_datasets_have_in_common_is_told_once(tmp_path, capsys):
    streets = [f"synthetic[height=32,width=48,clips=1,frames=2,seed={seed}]" for seed in (0, 1)]
    wanted = points(read(None, {"method": "pspnet", "dataset": streets, "codec": "raw"}))
    Planner(tmp_path).experiments(wanted)
    assert capsys.readouterr().err.count("pspnet: taken as pspnet[width=0.25]") == 1


def test_all_weights_that_are_missing_are_told(tmp_path):
    methods = ["pspnet", "pspnet[width=0.75]", "bisenet[width=0.75]"]
    wanted = points(read(None, {"method": methods, "dataset": "synthetic", "codec": "raw"}))
    with pytest.raises(WeightsError, match=r"of 2 methods:\n.*pspnet.*\n.*bisenet"):
        Planner(tmp_path).experiments(wanted)
