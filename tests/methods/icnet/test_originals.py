"""ICNet's published checkpoints: every entry is read, and the recorded outputs of the originals
come out again."""

import importlib.util
import os
from pathlib import Path

import pytest
import torch

from vssbench.core import registry
from vssbench.core.variant import Variant
from vssbench.methods.icnet.originals import ORIGINALS

FIXTURES = os.environ.get("VSSBENCH_TEST_FIXTURES")
LIMINN, MMSEG = ORIGINALS
needs_fixtures = pytest.mark.skipif(
    not FIXTURES, reason="VSSBENCH_TEST_FIXTURES names no folder of recorded outputs"
)


def recorded(name):
    spec = importlib.util.spec_from_file_location("reader", Path(FIXTURES) / "reader.py")
    reader = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reader)
    return reader.load(name)


def imported(original, state):
    """Our method with a checkpoint's weights, every entry of ours given exactly once."""
    model = registry.create(
        "methods",
        Variant("icnet", original.parameters(state)),
        classes=original.count_classes(state),
    )
    renamed = {
        original.rename(name): value
        for name, value in state.items()
        if original.reason_unused(name) is None
    }
    missing = model.load_state_dict(renamed, strict=False)
    assert not missing.unexpected_keys
    assert {name.rsplit(".", 1)[1] for name in missing.missing_keys} <= {"num_batches_tracked"}
    return model.eval()


@needs_fixtures
@pytest.mark.parametrize(
    ("original", "name", "count"),
    [(LIMINN, "liminn_icnet_r50", 4), (MMSEG, "mmseg_icnet_r18", 1)],
    ids=["liminn", "mmseg"],
)
def test_outputs_are_the_originals(original, name, count):
    state, inputs, expected, meta = recorded(name)
    assert [o for o in ORIGINALS if o.recognises(state)] == [original]
    model = imported(original, state)
    with torch.no_grad():
        outputs = original.outputs(model, inputs)
        logits, _ = model.net(inputs[0])
    assert len(outputs) == len(expected) == count
    for ours, theirs in zip(outputs, expected, strict=True):
        assert ours.shape == theirs.shape
        assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()
    assert torch.allclose(logits, expected[0], atol=1e-4)
    assert (
        sum(
            value.numel()
            for key, value in state.items()
            if "running" not in key and "tracked" not in key
        )
        == meta["params"]
    )


@pytest.mark.parametrize(
    ("original", "theirs", "ours"),
    [
        (LIMINN, "pretrained.conv1.6.weight", "net.backbone.conv1.6.weight"),
        (
            LIMINN,
            "pretrained.layer3.0.downsample.1.bias",
            "net.backbone.layer3.0.downsample.1.bias",
        ),
        (LIMINN, "conv_sub1.2.bn.running_mean", "net.sub1.2.1.running_mean"),
        (LIMINN, "head.cff_24.conv_low.0.weight", "net.fusion24.coarse.0.weight"),
        (LIMINN, "head.cff_12.conv_high.1.weight", "net.fusion12.fine.1.weight"),
        (LIMINN, "head.cff_12.conv_low_cls.weight", "net.guidance12.weight"),
        (LIMINN, "head.conv_cls.weight", "net.final.weight"),
        (MMSEG, "backbone.backbone.stem.4.bias", "net.backbone.conv1.4.bias"),
        (MMSEG, "backbone.backbone.stem.7.running_var", "net.backbone.bn1.running_var"),
        (MMSEG, "backbone.backbone.layer2.0.conv1.weight", "net.backbone.layer2.0.conv1.weight"),
        (MMSEG, "backbone.psp_modules.3.1.bn.bias", "net.pyramid.stages.3.1.bias"),
        (MMSEG, "backbone.psp_bottleneck.conv.weight", "net.pyramid.bottleneck.0.weight"),
        (MMSEG, "backbone.conv_sub1.0.conv.weight", "net.sub1.0.0.weight"),
        (MMSEG, "backbone.conv_sub4.bn.weight", "net.sub4.1.weight"),
        (MMSEG, "neck.cff_24.conv_high.conv.weight", "net.fusion24.fine.0.weight"),
        (MMSEG, "decode_head.convs.0.bn.weight", "net.last.1.weight"),
        (MMSEG, "decode_head.conv_seg.bias", "net.final.bias"),
        (MMSEG, "auxiliary_head.0.convs.0.conv.weight", "net.guidance24.0.0.weight"),
        (MMSEG, "auxiliary_head.1.conv_seg.weight", "net.guidance12.1.weight"),
    ],
)
def test_names(original, theirs, ours):
    assert original.rename(theirs) == ours
    form = original.parameters({})["form"]
    with torch.device("meta"):
        model = registry.create("methods", Variant("icnet", {"form": form}), classes=19)
    assert ours in model.state_dict()


@pytest.mark.parametrize(
    ("blocks", "backbone"), [(2, "resnet18"), (6, "resnet50"), (23, "resnet101")]
)
@pytest.mark.parametrize(
    ("original", "prefix"), [(LIMINN, "pretrained"), (MMSEG, "backbone.backbone")]
)
def test_the_backbone_is_read_off_the_third_stage(original, prefix, blocks, backbone):
    names = [
        *original.marks,
        *(f"{prefix}.layer3.{number}.conv1.weight" for number in range(blocks)),
    ]
    state = {name: torch.empty(0) for name in names}
    assert original.recognises(state)
    assert original.parameters(state)["backbone"] == backbone
    assert [o for o in ORIGINALS if o.recognises(state)] == [original]


def test_a_deeper_backbone_than_those_here_is_not_taken_for_one_of_them():
    names = [*LIMINN.marks, *(f"pretrained.layer3.{number}.conv1.weight" for number in range(36))]
    assert not LIMINN.recognises({name: torch.empty(0) for name in names})


def test_imagenets_classifier_is_left_out_with_a_reason():
    assert "ImageNet" in LIMINN.reason_unused("pretrained.fc.weight")
    assert MMSEG.reason_unused("decode_head.conv_seg.weight") is None


def test_liminns_sizes_are_multiples_of_its_strides():
    """Four times the logits at 1/4, which are twice those at 1/8: larger than an image whose sides
    8 does not divide."""
    model = registry.create(
        "methods", Variant("icnet", {"form": "liminn", "width": 0.125}), classes=5
    ).eval()
    with torch.no_grad():
        sizes = [tuple(x.shape[2:]) for x in LIMINN.outputs(model, [torch.randn(1, 3, 75, 101)])]
        assert model.keyframe(torch.rand(1, 3, 75, 101))[0].shape[2:] == (75, 101)
    assert sizes == [(80, 104), (20, 26), (10, 13), (5, 7)]
