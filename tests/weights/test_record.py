"""Records of weight files that do not fit are refused in words, values not finite are named."""

import json

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from vssbench.cli import bench
from vssbench.core import registry
from vssbench.core.errors import WeightsError
from vssbench.core.variant import parse_variant
from vssbench.weights import file as weights
from vssbench.weights import network, packing, writing
from vssbench.weights.account import describe

CLASSES = ("road", "sky", "car")
TEXT = "bisenet[width=0.125]"


def build():
    return registry.create("methods", parse_variant(TEXT), classes=len(CLASSES)).eval()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    writing.save_weights(path, build(), parse_variant(TEXT), CLASSES, "patterns", {"epochs": 3})
    return weights.open_weights(path)


def stored(path, plain, **metadata):
    """A file of one tensor with the record of a sound file but for some keys."""
    save_file({"x": torch.zeros(1)}, path, plain.metadata | metadata)
    return path


UNFIT = [
    ("method", ""),
    ("method", "bisenet[width"),
    ("method", "bisenet[width=0.125,width=0.25]"),
    ("name", "pspnet"),
    ("width", "0.25"),
    ("scale", "wide"),
    ("classes", ""),
    ("classes", "road, sky"),
    ("classes", "3"),
    ("classes", "null"),
    ("classes", '"road"'),
    ("classes", '{"road": 0}'),
    ("classes", '["road", 1]'),
    ("classes", '["road", ["sky"]]'),
    ("classes", '["road", " "]'),
    ("classes", '["\\ud800"]'),
    ("classes", "[" * 100_000),
    ("classes", json.dumps([f"class {number}" for number in range(256)])),
    ("mean", "0.5"),
    ("mean", "[0.5, 0.5]"),
    ("mean", "[0.5, 0.5, 0.5, 0.5]"),
    ("mean", "[[0.5], [0.5], [0.5]]"),
    ("mean", '["0.5", "0.5", "0.5"]'),
    ("mean", "[true, 0.5, 0.5]"),
    ("mean", "[null, 0.5, 0.5]"),
    ("mean", "[NaN, 0.5, 0.5]"),
    ("mean", "[-0.1, 0.5, 0.5]"),
    ("mean", "[123.7, 116.3, 103.5]"),
    ("mean", f"[1{'0' * 400}, 0, 0]"),
    ("mean", '{"r": 0.5, "g": 0.5, "b": 0.5}'),
    ("std", "[0.2, 0.2"),
    ("std", "[0, 0.2, 0.2]"),
    ("std", "[-0.2, 0.2, 0.2]"),
    ("std", "[1e-40, 0.2, 0.2]"),
    ("std", "[58.4, 57.1, 57.4]"),
    ("std", "[Infinity, 0.2, 0.2]"),
    ("parts", ""),
    ("parts", "two"),
    ("parts", "0"),
    ("parts", "-1"),
    ("parts", "1.5"),
    ("parts", "[2]"),
    ("parts", "\N{FULLWIDTH DIGIT NINE}"),
    ("parts", "10000000000"),
    ("missing", "high"),
    ("missing", "1"),
    ("missing", "[1]"),
    ("missing", '{"high": 1}'),
    ("training", "[]"),
    ("training", "none"),
    ("training", '"epochs"'),
    ("training", '{"history": 3}'),
    ("training", '{"history": [1]}'),
    ("training", '{"seconds": "long"}'),
    ("training", '{"seconds": NaN}'),
    ("training", '{"command": ["train"]}'),
    ("training", '{"dataset": {"name": "camvid"}}'),
    ("training", '{"imported from": 3}'),
    ("training", '{"imported from": ["x"], "entries not used": 3}'),
    ("training", '{"options": []}'),
]


@pytest.mark.parametrize(("key", "text"), UNFIT, ids=[f"{key}-{text[:24]}" for key, text in UNFIT])
def test_a_record_that_does_not_fit_is_refused_in_words(key, text, plain, tmp_path):
    path = stored(tmp_path / "w.safetensors", plain, **{key: text})
    with pytest.raises(WeightsError, match=rf"w\.safetensors has a damaged record: '{key}"):
        weights.open_weights(path)
    result = CliRunner().invoke(bench, ["weights", "info", str(path)])
    assert isinstance(result.exception, WeightsError)
    assert len(str(result.exception)) < 600


def test_a_record_that_says_less_is_read(plain, tmp_path):
    path = tmp_path / "w.safetensors"
    metadata = {key: plain.metadata[key] for key in ("method", "classes")}
    save_file({"x": torch.zeros(1)}, path, metadata)
    found = describe(path)
    assert (found["method"], found["classes"]) == (plain.metadata["method"], list(CLASSES))
    assert found["trained on"] == "unknown"
    stored(path, plain, training='{"imported from": ["elsewhere"]}')
    assert describe(path)["entries not used"] == 0


SOUND = {"file": "base.safetensors", "sha256": "0", "same": {}, "near": {}}
PACKED = [
    "[]",
    "[" * 100_000,
    {"files": 10_000_000_000},
    {"files": 0},
    {"files": 1.5},
    {"files": True},
    {"sha256": 3},
    {"references": {}},
    {"references": [3]},
    {"references": [SOUND | {"file": ""}]},
    {"references": [SOUND | {"file": ".."}]},
    {"references": [SOUND | {"file": 3}]},
    {"references": [SOUND | {"sha256": None}]},
    {"references": [SOUND | {"same": ["a"]}]},
    {"references": [SOUND | {"near": {"a": 1}}]},
]


@pytest.mark.parametrize("record", PACKED, ids=lambda record: str(record)[:40])
def test_a_packed_record_that_does_not_fit_is_refused_in_words(record, plain, tmp_path):
    text = (
        record
        if isinstance(record, str)
        else json.dumps({"sha256": "0", "files": 1, "references": []} | record)
    )
    path = stored(tmp_path / "w.safetensors", plain, **{packing.KEY: text})
    with pytest.raises(WeightsError, match="damaged record of how it was packed"):
        describe(path)


def changed(plain, path, **tensors):
    save_file(plain.tensors() | tensors, path, plain.metadata)
    return weights.open_weights(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_tensors_that_are_not_finite_are_named(value, plain, tmp_path):
    tensor = plain.tensors()["net.final.weight"].clone()
    tensor.view(-1)[:2] = value
    file = changed(plain, tmp_path / "w.safetensors", **{"net.final.weight": tensor})
    expected = f"net.final.weight (2 of {tensor.numel()} values)"
    assert describe(file.path)["not finite"] == [expected]
    for use in (
        lambda: network.load_into(build(), parse_variant(TEXT), CLASSES, file),
        lambda: network.build(file),
        file.usable,
    ):
        with pytest.raises(WeightsError) as error:
            use()
        assert f"holds NaN or infinite values: {expected}" in str(error.value)
    assert describe(plain.path)["not finite"] == []


def test_a_part_of_a_method_is_checked_as_a_whole_one_is(plain, tmp_path):
    """Values that are missing may be missing; those that are there must fit and be finite."""
    path = tmp_path / "w.safetensors"
    for tensor, message in (
        (torch.zeros(7), r"net\.final\.bias: \(7,\) instead of \(3,\)"),
        (torch.full((3,), torch.nan), r"net\.final\.bias \(3 of 3 values\)"),
    ):
        save_file({"net.final.bias": tensor}, path, plain.metadata | {"missing": '["net"]'})
        with pytest.raises(WeightsError, match=message):
            network.build(weights.open_weights(path), partial=True)


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.zeros(3, dtype=torch.int64), r"net\.final\.bias: \(3,\) of int64 instead of \(3,\)"),
        (torch.zeros(3, dtype=torch.complex64), r"net\.final\.bias: \(3,\) of complex64 instead"),
    ],
)
def test_tensors_of_another_kind_are_named(tensor, message, plain, tmp_path):
    file = changed(plain, tmp_path / "w.safetensors", **{"net.final.bias": tensor})
    with pytest.raises(WeightsError, match=message):
        network.load_into(build(), parse_variant(TEXT), CLASSES, file)


def test_values_beyond_half_precision_stay_finite(tmp_path):
    large = torch.full((64, 80), 1e5)
    path = tmp_path / "w.safetensors"
    origin = writing.Origin(parse_variant(TEXT), CLASSES, "patterns", {})
    writing.save_state(path, {"net.large": large}, origin, {})
    assert torch.equal(weights.open_weights(path).usable()["net.large"], large)


def test_a_checkpoint_that_is_not_finite_is_not_imported(plain, tmp_path):
    state = {name.removeprefix("net."): value for name, value in plain.tensors().items()}
    state["final.bias"] = torch.tensor([0, float("nan"), 0])
    torch.save(state, tmp_path / "c.pth")
    result = CliRunner().invoke(
        bench,
        [
            "weights", "convert", TEXT, str(tmp_path / "c.pth"), "--classes", "3", "-o",
            str(tmp_path / "out.safetensors"),
        ],
    )  # fmt: skip
    assert "final.bias (1 of 3 values)" in str(result.exception)
    assert not (tmp_path / "out.safetensors").exists()
    assert describe(tmp_path / "c.pth")["not finite"] == ["final.bias (1 of 3 values)"]
