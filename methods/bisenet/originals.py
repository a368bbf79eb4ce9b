"""BiSeNet V1 as four codes publish it: CoinCheung/BiSeNet, ycszen/TorchSeg,
open-mmlab/mmsegmentation, ooooverflow/BiSeNet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from vssbench.core.variant import Value
from vssbench.methods.arseg.originals import (
    BISENET_RULES,
    CITYSCAPES_BISENET,
    bisenet_outputs,
    enlarged,
    under,
)
from vssbench.weights.original import Original, State, image_logits

#: an entry's name ends in .conv.NAME or .bn.NAME inside a block of convolution, BN and ReLU, which
#: is a sequence here
_BLOCK_RULES = ((r"\.conv\.(?=\w+$)", ".0."), (r"\.bn\.(?=\w+$)", ".1."))

_TORCHSEG_RULES = (
    (r"^context_path\.conv1\.conv\.", "context.backbone.stem.0."),
    (r"^context_path\.conv1\.bn\.", "context.backbone.stem.1."),
    (r"^context_path\.", "context.backbone."),
    (r"\.residual_branch\.", ".residual."),
    (r"\.proj\.", ".shortcut."),
    (r"\.(residual\.\d|shortcut)\.conv1\.", r".\1.0."),
    (r"\.point_wise_cbr\.conv\.", ".1."),
    (r"\.point_wise_cbr\.bn\.", ".2."),
    (r"^spatial_path\.conv_7x7\.", "spatial.0."),
    (r"^spatial_path\.conv_3x3_1\.", "spatial.1."),
    (r"^spatial_path\.conv_3x3_2\.", "spatial.2."),
    (r"^spatial_path\.conv_1x1\.", "spatial.3."),
    (r"^global_context\.1\.", "context.average."),
    (r"^arms\.0\.", "context.arm32."),
    (r"^arms\.1\.", "context.arm16."),
    (r"^refines\.0\.", "context.head32."),
    (r"^refines\.1\.", "context.head16."),
    (r"^heads\.0\.conv_3x3\.", "auxiliary16.0."),
    (r"^heads\.0\.conv_1x1\.", "auxiliary16.1."),
    (r"^heads\.1\.conv_3x3\.", "auxiliary8.0."),
    (r"^heads\.1\.conv_1x1\.", "auxiliary8.1."),
    (r"^heads\.2\.conv_3x3\.", "head."),
    (r"^heads\.2\.conv_1x1\.", "final."),
    (r"^ffm\.conv_1x1\.", "fusion.conv."),
    (r"^ffm\.channel_attention\.1\.conv\.", "fusion.gate.1."),
    (r"^ffm\.channel_attention\.2\.conv\.", "fusion.gate.3."),
    (r"\.channel_attention\.1\.conv\.", ".gate.1."),
    (r"\.channel_attention\.1\.bn\.", ".gate.2."),
    (r"\.conv_3x3\.", ".conv."),
    *_BLOCK_RULES,
)
_MMSEG_RULES = (
    (r"^backbone\.context_path\.backbone\.", "context.backbone."),
    (r"^backbone\.context_path\.conv_head(\d+)\.", r"context.head\1."),
    (r"^backbone\.context_path\.gap_conv\.1\.", "context.average."),
    (r"^backbone\.context_path\.", "context."),
    (r"^backbone\.spatial_path\.layer1\.", "spatial.0."),
    (r"^backbone\.spatial_path\.layer2\.", "spatial.1."),
    (r"^backbone\.spatial_path\.layer3\.", "spatial.2."),
    (r"^backbone\.spatial_path\.layer4\.", "spatial.3."),
    (r"^backbone\.ffm\.conv1\.", "fusion.conv."),
    (r"^backbone\.ffm\.conv_atten\.0\.conv\.", "fusion.gate.1."),
    (r"^backbone\.ffm\.conv_atten\.0\.bn\.", "fusion.gate.2."),
    (r"^decode_head\.convs\.0\.", "head."),
    (r"^decode_head\.conv_seg\.", "final."),
    (r"^auxiliary_head\.0\.", "auxiliary8."),
    (r"^auxiliary_head\.1\.", "auxiliary16."),
    (r"^(auxiliary\d+)\.convs\.0\.", r"\1.0."),
    (r"^(auxiliary\d+)\.conv_seg\.", r"\1.2."),
    (r"\.atten_conv_layer\.1\.conv\.", ".gate.1."),
    (r"\.atten_conv_layer\.1\.bn\.", ".gate.2."),
    (r"\.conv_layer\.", ".conv."),
    *_BLOCK_RULES,
)
_OOOOVERFLOW_RULES = (
    (r"^context_path\.", "backbone."),
    (r"^saptial_path\.convblock1\.", "spatial.0."),
    (r"^saptial_path\.convblock2\.", "spatial.1."),
    (r"^saptial_path\.convblock3\.", "spatial.2."),
    (r"^attention_refinement_module1\.conv\.", "arm16.1."),
    (r"^attention_refinement_module2\.conv\.", "arm32.1."),
    (r"^supervision1\.", "auxiliary16."),
    (r"^supervision2\.", "auxiliary32."),
    (r"^feature_fusion_module\.convblock\.", "fusion.conv."),
    (r"^feature_fusion_module\.conv1\.", "fusion.gate.1."),
    (r"^feature_fusion_module\.conv2\.", "fusion.gate.3."),
    (r"^conv\.", "final."),
    (r"^(spatial\.\d|fusion\.conv)\.conv1\.", r"\1.0."),
    (r"^(spatial\.\d|fusion\.conv)\.bn\.", r"\1.1."),
)
_OOOOVERFLOW_UNUSED = (
    (r"^context_path\.features\.fc\.", "the classifier of ImageNet's classes, which is never run"),
    (r"^context_path\.features\.", "a second name of the backbone, whose first name is used"),
    (
        r"^attention_refinement_module\d\.bn\.",
        "a batch normalisation that the original's forward pass leaves out",
    ),
)


def _resnet(state: State, prefix: str) -> str:
    """Return the depth of a ResNet by its blocks, among those that the four codes use."""
    if f"{prefix}layer1.0.conv3.weight" not in state:
        return "resnet18"
    return "resnet101" if f"{prefix}layer3.22.conv1.weight" in state else "resnet50"


def _torchseg_parameters(state: State) -> dict[str, Value]:
    """Return the parameters of the TorchSeg form that a checkpoint shows.

    The real-time networks have no auxiliary heads outside training, and with ResNet-18 narrower
    ones within.

    With Xception39 the two trainings leave files of one shape: ``torchseg`` is assumed, whose
    weights fit the other as well.
    """
    backbone = _resnet(state, "context_path.")
    if "context_path.layer1.0.proj.conv1.weight" in state:
        backbone = "xception39"
    head = state.get("heads.0.conv_3x3.conv.weight")
    speed = head is None or (backbone == "resnet18" and head.shape[0] == 128)
    return {"backbone": backbone, "form": "torchseg_speed" if speed else "torchseg"}


def _mmseg_parameters(state: State) -> dict[str, Value]:
    return {"backbone": _resnet(state, "backbone.context_path.backbone."), "form": "mmseg"}


def _ooooverflow_parameters(state: State) -> dict[str, Value]:
    return {"backbone": _resnet(state, "context_path."), "form": "ooooverflow"}


def _coincheung_outputs(model: Any, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return the outputs of lib/models/bisenetv1.py in aux_mode ``train``: the logits, then those
    of the heads at strides 8 and 16."""
    return bisenet_outputs(model.net, inputs[0])[:3]


def _coincheung_eval_outputs(model: Any, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return the same in aux_mode ``eval``: the logits alone."""
    feature, _ = model.net.features(inputs[0])
    return [enlarged(model.net.final(feature), 8)]


def _torchseg_outputs(model: Any, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return log-probabilities, at stride 8 in the real-time networks, else enlarged eight
    times."""
    feature, _ = model.net.features(inputs[0])
    logits = model.net.final(feature)
    if model.net.form.factor > 1:
        logits = F.interpolate(
            logits, scale_factor=model.net.form.factor, mode="bilinear", align_corners=True
        )
    return [F.log_softmax(logits, 1)]


def _ooooverflow_outputs(model: Any, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return the logits, enlarged eight times before the last convolution."""
    feature, _ = model.net.features(inputs[0])
    return [model.net.final(enlarged(feature, 8))]


_COINCHEUNG = Original(
    name="CoinCheung BiSeNetV1",
    source="CoinCheung/BiSeNet@6b4b67a",
    method="bisenet",
    marks=("cp.resnet.conv1.weight", "conv_out.conv_out.weight", "conv_out16.conv_out.weight"),
    classifier="conv_out.conv_out.weight",
    rules=under("net.", BISENET_RULES),
    outputs=_coincheung_outputs,
    absent=("feat_conv_out.conv.weight",),
    mean=CITYSCAPES_BISENET[0],
    std=CITYSCAPES_BISENET[1],
)

ORIGINALS: tuple[Original, ...] = (
    _COINCHEUNG,
    replace(
        _COINCHEUNG,
        name="CoinCheung BiSeNetV1 without auxiliary heads",
        marks=_COINCHEUNG.marks[:2],
        absent=(*_COINCHEUNG.absent, "conv_out16.conv_out.weight"),
        outputs=_coincheung_eval_outputs,
    ),
    Original(
        name="TorchSeg BiSeNet",
        source="ycszen/TorchSeg@62eeb15",
        method="bisenet",
        marks=(
            "spatial_path.conv_7x7.conv.weight",
            "arms.0.conv_3x3.conv.weight",
            "heads.2.conv_1x1.weight",
        ),
        classifier="heads.2.conv_1x1.weight",
        rules=under("net.", _TORCHSEG_RULES),
        parameters=_torchseg_parameters,
        outputs=_torchseg_outputs,
    ),
    Original(
        name="mmsegmentation BiSeNetV1",
        source="open-mmlab/mmsegmentation 1.2.2",
        method="bisenet",
        marks=(
            "backbone.spatial_path.layer1.conv.weight",
            "backbone.ffm.conv1.conv.weight",
            "decode_head.conv_seg.weight",
        ),
        classifier="decode_head.conv_seg.weight",
        rules=under("net.", _MMSEG_RULES),
        parameters=_mmseg_parameters,
        outputs=image_logits,
    ),
    Original(
        name="ooooverflow BiSeNet",
        source="ooooverflow/BiSeNet@284a8f6",
        method="bisenet",
        marks=(
            "saptial_path.convblock1.conv1.weight",
            "attention_refinement_module1.conv.weight",
            "conv.weight",
        ),
        classifier="conv.weight",
        rules=under("net.", _OOOOVERFLOW_RULES),
        parameters=_ooooverflow_parameters,
        unused=_OOOOVERFLOW_UNUSED,
        outputs=_ooooverflow_outputs,
    ),
)
