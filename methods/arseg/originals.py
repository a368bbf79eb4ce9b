"""AR-Seg's published networks: PSPNet18 in both forms and BiSeNet18, for keyframes (HR), at low
resolution (LR), fused (AR).

An HR or LR checkpoint is a per-frame network; an AR checkpoint is the low-resolution network with
CReFF and a copy of the HR network's last convolution. Normalisation: CamVid's own statistics; for
Cityscapes ImageNet's (PSPNet18) or those of CoinCheung/BiSeNet (BiSeNet18). Source of the facts:
model/, dataset/camvid.py and dataset/cityscapes.py of the repository.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from vssbench.core.segmenter import IMAGENET_MEAN, IMAGENET_STD
from vssbench.core.variant import Value
from vssbench.weights.original import Original, State

SOURCE = "THU-LYJ-Lab/AR-Seg@6a72b5d"
CAMVID = ((0.39068785, 0.40521392, 0.41434407), (0.29652068, 0.30514979, 0.30080369))
CITYSCAPES_BISENET = ((0.3257, 0.3690, 0.3223), (0.2112, 0.2148, 0.2115))
IMAGENET = (IMAGENET_MEAN, IMAGENET_STD)

UPSAMPLING_RULES = (
    (r"^feats\.", "backbone."),
    (r"^psp\.stages\.(\d)\.1\.", r"psp.stages.\1."),
    (r"^up_(\d)\.conv\.0\.", r"up\1.conv."),
    (r"^up_(\d)\.conv\.1\.", r"up\1.bn."),
    (r"^up_(\d)\.conv\.2\.", r"up\1.act."),
    (r"^final_conv\.", "final."),
    (r"^classifier\.", "presence."),
)
SEMSEG_RULES = (
    (r"^layer0\.0\.", "backbone.conv1."),
    (r"^layer0\.1\.", "backbone.bn1."),
    (r"^layer(\d)\.", r"backbone.layer\1."),
    (r"^ppm\.features\.(\d)\.1\.", r"psp.stages.\1.0."),
    (r"^ppm\.features\.(\d)\.2\.", r"psp.stages.\1.1."),
    (r"^cls\.([01])\.", r"head.\1."),
    (r"^cls\.4\.", "final."),
    (r"^aux\.", "auxiliary_head."),
)
BISENET_RULES = (
    (r"^cp\.resnet\.", "context.backbone."),
    (r"^cp\.conv_head(\d+)\.", r"context.head\1."),
    (r"^cp\.conv_avg\.", "context.average."),
    (r"^cp\.", "context."),
    (r"^sp\.conv1\.", "spatial.0."),
    (r"^sp\.conv2\.", "spatial.1."),
    (r"^sp\.conv3\.", "spatial.2."),
    (r"^sp\.conv_out\.", "spatial.3."),
    (r"^ffm\.convblk\.", "fusion.conv."),
    (r"^ffm\.conv\.", "fusion.gate.1."),
    (r"^ffm\.bn\.", "fusion.gate.2."),
    (r"^conv_out16\.conv\.", "auxiliary8.0."),
    (r"^conv_out16\.conv_out\.", "auxiliary8.1."),
    (r"^conv_out32\.conv\.", "auxiliary16.0."),
    (r"^conv_out32\.conv_out\.", "auxiliary16.1."),
    (r"^conv_out\.conv\.", "head."),
    (r"^conv_out\.conv_out\.", "final."),
    (r"\.conv_atten\.", ".gate.1."),
    (r"\.bn_atten\.", ".gate.2."),
    (r"\.conv\.(?=\w+$)", ".0."),
    (r"\.bn\.(?=\w+$)", ".1."),
)
_FUSION_RULES = (
    (r"^fuse_attention\.lr_query_conv\.", "/fusion.query."),
    (r"^fuse_attention\.hr_key_conv\.", "/fusion.key."),
    (r"^fuse_attention\.hr_value_conv\.", "/fusion.value."),
)
_FUSION_KEY = "fuse_attention.lr_query_conv.weight"
#: hszhao/semseg's own networks have bottleneck blocks
_BOTTLENECK_KEY = "layer1.0.conv3.weight"
_NO_FUSION = ((r"^fuse_attention\.", "CReFF, which a network on its own does not run"),)
_ALIASES = (
    (r"^feat_conv_out\.", "a second name of conv_out.conv, whose entries are used"),
    (r"^final_conv\.", "a second name of the last convolution, whose first name is used"),
)


def upsampling_outputs(network: Any, image: Tensor) -> list[Tensor]:
    """Return the outputs of PSPNet of model/pspnet.py: log-probabilities, class presence, the
    feature before the last convolution."""
    feature, third = network.features(image)
    logits = network.classify(feature, (image.shape[-2], image.shape[-1]))
    return [F.log_softmax(logits, 1), network.presence_logits(third), feature]


def semseg_outputs(network: Any, image: Tensor) -> list[Tensor]:
    """Return the outputs of PSPNetWithFuse of model/pspnet_semseg.py in its normal mode: logits,
    auxiliary logits, the feature."""
    size = (image.shape[-2], image.shape[-1])
    feature, third = network.features(image)
    auxiliary = F.interpolate(
        network.auxiliary_head(third), size=size, mode="bilinear", align_corners=True
    )
    return [network.classify(feature, size), auxiliary, feature]


def bisenet_outputs(network: Any, image: Tensor) -> list[Tensor]:
    """Return the outputs of BiSeNetV1 of model/bisenet.py in aux_mode ``train``: logits, both
    auxiliary logits, the feature."""
    feature, (eight, sixteen) = network.features(image)
    return [
        enlarged(network.final(feature), 8),
        enlarged(network.auxiliary8(eight), 8),
        enlarged(network.auxiliary16(sixteen), 16),
        feature,
    ]


def enlarged(x: Tensor, factor: int) -> Tensor:
    """Enlarge bilinearly by a whole factor, corners not aligned.

    The output modules of these networks do so.
    """
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def _fused(model: Any, inputs: Sequence[Tensor]) -> Tensor:
    """Compute the fused feature of phase 1 and CReFF of phase 2.

    The input is the LR image and the reference warped already.
    """
    image, reference = inputs
    low, _ = model.low.features(image)
    return model.fusion(low, reference)


def _upsampling_fused(model: Any, inputs: Sequence[Tensor]) -> list[Tensor]:
    fused = _fused(model, inputs)
    return [F.log_softmax(model.high.classify(fused, (fused.shape[-2], fused.shape[-1])), 1), fused]


def _semseg_fused(model: Any, inputs: Sequence[Tensor]) -> list[Tensor]:
    fused = _fused(model, inputs)
    return [model.high.final(fused), fused]


def _bisenet_fused(model: Any, inputs: Sequence[Tensor]) -> list[Tensor]:
    fused = _fused(model, inputs)
    return [enlarged(model.high.final(fused), 8), fused]


def under(prefix: str, rules: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Turn rules of a network into those of the method that holds it under a prefix.

    A result that starts with / is whole.
    """
    return (*rules, (r"^(?!/)", prefix), (r"^/", ""))


def _parameters(**fixed: Value) -> Callable[[State], dict[str, Value]]:
    return lambda state: dict(fixed)


@dataclass(frozen=True)
class _Network:
    """A published network: its methods here, its checkpoints' names, and its outputs."""

    per_frame: str
    parameters: dict[str, Value]
    arseg: dict[str, Value]
    marks: tuple[str, ...]
    classifier: str
    rules: tuple[tuple[str, str], ...]
    outputs: Callable[[Any, Tensor], list[Tensor]]
    fused: Callable[[Any, Sequence[Tensor]], list[Tensor]]
    unused: tuple[tuple[str, str], ...] = ()


def _family(
    name: str,
    network: _Network,
    statistics: tuple[tuple[float, float, float], tuple[float, float, float]],
    classes: int | None = None,
) -> tuple[Original, Original, Original]:
    """Return the three originals of a network: per-frame, keyframe, low-resolution.

    These are a per-frame method, AR-Seg's keyframe network, and AR-Seg's low-resolution network
    with CReFF.
    """
    single = Original(
        name=f"AR-Seg {name}",
        source=SOURCE,
        method=network.per_frame,
        marks=network.marks,
        classifier=network.classifier,
        rules=under("net.", network.rules),
        parameters=_parameters(**network.parameters),
        unused=(*_NO_FUSION, *network.unused),
        outputs=lambda model, inputs: network.outputs(model.net, inputs[0]),
        mean=statistics[0],
        std=statistics[1],
        classes=classes,
        absent=(_BOTTLENECK_KEY,),
    )
    high = replace(
        single,
        name=f"AR-Seg {name} HR",
        method="arseg",
        role="HR",
        rules=under("high.", network.rules),
        parameters=_parameters(**network.arseg, warp="paper"),
        outputs=lambda model, inputs: network.outputs(model.high, inputs[0]),
    )
    low = replace(
        high,
        name=f"AR-Seg {name} AR",
        role="AR",
        marks=(*network.marks, _FUSION_KEY),
        unused=network.unused,
        outputs=network.fused,
        rules=under("low.", (*_FUSION_RULES, *network.rules, (r"^final\.", "/high.final."))),
    )
    return single, high, low


def _trained_alone(original: Original) -> Original:
    """Return Cityscapes' HR network as train.py saves it, before it is converted: PSPNet of
    model/pspnet_semseg.py, logits alone."""
    outputs = original.outputs
    return replace(
        original, name=f"{original.name} (before its conversion)", absent=(*original.absent,
        "final_conv.weight"),
        marks=tuple(mark for mark in original.marks if mark != "final_conv.weight"),
        outputs=lambda model, inputs: outputs(model, inputs)[:1],
    )  # fmt: skip


_UPSAMPLING = _Network(
    per_frame="pspnet",
    parameters={"layers": 18, "style": "upsample"},
    arseg={"backbone": "psp18", "style": "upsample"},
    marks=("feats.conv1.weight", "up_1.conv.0.weight", "classifier.0.weight"),
    classifier="final_conv.weight",
    rules=UPSAMPLING_RULES,
    outputs=upsampling_outputs,
    fused=_upsampling_fused,
)
_SEMSEG = _Network(
    per_frame="pspnet",
    parameters={"layers": 18, "style": "semseg"},
    arseg={"backbone": "psp18", "style": "semseg"},
    marks=(
        "layer0.0.weight",
        "ppm.features.0.1.weight",
        "layer1.0.conv2.weight",
        "final_conv.weight",
    ),
    classifier="cls.4.weight",
    rules=SEMSEG_RULES,
    outputs=semseg_outputs,
    fused=_semseg_fused,
    unused=_ALIASES,
)
_BISENET = _Network(
    per_frame="bisenet",
    parameters={},
    arseg={"backbone": "bise18"},
    marks=("cp.resnet.conv1.weight", "conv_out.conv_out.weight", "feat_conv_out.conv.weight"),
    classifier="conv_out.conv_out.weight",
    rules=BISENET_RULES,
    outputs=bisenet_outputs,
    fused=_bisenet_fused,
    unused=_ALIASES,
)

_CITYSCAPES_PSPNET = _family("Cityscapes PSPNet18", _SEMSEG, IMAGENET)

ORIGINALS: tuple[Original, ...] = (
    *_family("CamVid PSPNet18", _UPSAMPLING, CAMVID),
    *_CITYSCAPES_PSPNET,
    *map(_trained_alone, _CITYSCAPES_PSPNET[:2]),
    *_family("CamVid BiSeNet18", _BISENET, CAMVID, 12),
    *_family("Cityscapes BiSeNet18", _BISENET, CITYSCAPES_BISENET, 19),
)
