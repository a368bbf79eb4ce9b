"""Four codes' BiSeNets, imported with their recorded weights, give their recorded outputs, at sides
that 32 does not divide."""

from types import SimpleNamespace

import pytest
import torch

from tests.weights.golden import load_sample, sampled
from vssbench.core.errors import WeightsError
from vssbench.core.variant import Variant, parse_variant
from vssbench.methods.bisenet.originals import ORIGINALS
from vssbench.weights.file import open_weights
from vssbench.weights.importer import import_checkpoints
from vssbench.weights.network import build

CASES = {
    "coincheung_bisenetv1_r18_train": "bisenet",
    "torchseg_bisenet_r18": "bisenet[form=torchseg]",
    "torchseg_bisenet_r18_speed": "bisenet[form=torchseg_speed]",
    "torchseg_bisenet_x39": "bisenet[backbone=xception39,form=torchseg]",
    "mmseg_bisenetv1_r18": "bisenet[form=mmseg]",
    "ooooverflow_bisenet_r18": "bisenet[form=ooooverflow]",
}


def imported(state, folder, method="bisenet"):
    path = folder / "checkpoint.pth"
    torch.save({"model": state, "epoch": 3}, path)
    return import_checkpoints(parse_variant(method), [path])


def loaded(result, folder):
    (path,) = result.save(folder / "ours.safetensors")
    return build(open_weights(path), partial=True)


@pytest.mark.parametrize("name", CASES)
def test_outputs_are_the_originals(name, tmp_path):
    sample = load_sample(name)
    result = imported(sample.weights, tmp_path)
    assert result.variant == parse_variant(CASES[name])
    assert result.missing == []
    with torch.inference_mode():
        outputs = result.originals[0].outputs(loaded(result, tmp_path), sample.inputs)
    assert len(outputs) == len(sample.outputs)
    assert all(
        expected.difference(output) < 1e-5
        for expected, output in zip(sample.outputs, outputs, strict=True)
    )


def test_every_entry_is_used_but_for_what_never_runs(tmp_path):
    for name in CASES:
        reasons = {entry.reason for entry in imported(load_sample(name).weights, tmp_path).unused}
        assert len(reasons) == (4 if name.startswith("ooooverflow") else 1), name


def test_coincheung_without_auxiliary_heads_gives_the_logits_alone(tmp_path):
    """A file saved in aux_mode ``eval`` has no auxiliary heads.

    Its logits are the first of the three outputs in aux_mode ``train``.
    """
    sample = load_sample("coincheung_bisenetv1_r18_train")
    state = {
        key: value
        for key, value in sample.weights.items()
        if not key.startswith(("conv_out16.", "conv_out32."))
    }
    result = imported(state, tmp_path)
    with torch.inference_mode():
        (output,) = result.originals[0].outputs(loaded(result, tmp_path), sample.inputs)
    assert sample.outputs[0].difference(output) < 1e-5


def test_statistics_are_those_of_the_authors(tmp_path):
    cityscapes = imported(load_sample("coincheung_bisenetv1_r18_train").weights, tmp_path)
    assert cityscapes.mean == (0.3257, 0.3690, 0.3223)
    assert cityscapes.std == (0.2112, 0.2148, 0.2115)
    imagenet = imported(load_sample("torchseg_bisenet_r18").weights, tmp_path)
    assert imagenet.mean == (0.485, 0.456, 0.406)


@pytest.mark.parametrize(
    ("backbone", "heads", "expected"),
    [
        ("layer4.0.conv1.weight", 256, {"backbone": "resnet18", "form": "torchseg"}),
        ("layer4.0.conv1.weight", 128, {"backbone": "resnet18", "form": "torchseg_speed"}),
        ("layer4.0.conv1.weight", None, {"backbone": "resnet18", "form": "torchseg_speed"}),
        ("layer3.22.conv1.weight", 256, {"backbone": "resnet101", "form": "torchseg"}),
        ("layer1.0.proj.conv1.weight", 128, {"backbone": "xception39", "form": "torchseg"}),
        ("layer1.0.proj.conv1.weight", None, {"backbone": "xception39", "form": "torchseg_speed"}),
    ],
)
def test_torchsegs_networks_are_told_apart_by_their_heads(backbone, heads, expected):
    (original,) = (item for item in ORIGINALS if item.name == "TorchSeg BiSeNet")
    state = {f"context_path.{backbone}": torch.empty(0)}
    if backbone.startswith("layer3.22"):
        state["context_path.layer1.0.conv3.weight"] = torch.empty(0)
    if heads is not None:
        state["heads.0.conv_3x3.conv.weight"] = torch.empty(heads, 128, 3, 3)
    assert original.parameters(state) == expected


def test_every_file_is_recognised_as_one_original_alone():
    for name in CASES:
        state = {
            key: SimpleNamespace(shape=shape) for key, shape in sampled(name)["state_dict"].items()
        }
        assert sum(original.recognises(state) for original in ORIGINALS) == 1, name


def test_another_form_than_asked_for_is_refused_in_words(tmp_path):
    with pytest.raises(WeightsError, match=r"form=torchseg, and .* asks for form=mmseg"):
        imported(
            load_sample("torchseg_bisenet_r18").weights,
            tmp_path,
            str(Variant("bisenet", {"form": "mmseg"})),
        )
