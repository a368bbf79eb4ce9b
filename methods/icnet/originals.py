"""ICNet as liminn/ICNet-pytorch and open-mmlab/mmsegmentation publish it. (The paper's own models
are Caffe's, not read here.)

Both normalise with ImageNet's statistics; open-mmlab writes them for images in [0, 255].
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from vssbench.core.variant import Value
from vssbench.methods.arseg.originals import under
from vssbench.nets.resize import resize
from vssbench.weights.original import Original, State, image_logits

LIMINN_RULES = (
    (r"^pretrained\.", "backbone."),
    (r"^conv_sub1\.(\d)\.conv\.", r"sub1.\1.0."),
    (r"^conv_sub1\.(\d)\.bn\.", r"sub1.\1.1."),
    (r"^head\.cff_(\d+)\.conv_low_cls\.", r"guidance\1."),
    (r"^head\.cff_(\d+)\.conv_low\.", r"fusion\1.coarse."),
    (r"^head\.cff_(\d+)\.conv_high\.", r"fusion\1.fine."),
    (r"^head\.conv_cls\.", "final."),
)
MMSEG_RULES = (
    (r"^backbone\.backbone\.stem\.7\.", "resnet.bn1."),
    (r"^backbone\.backbone\.stem\.", "resnet.conv1."),
    (r"^backbone\.backbone\.", "resnet."),
    (r"^backbone\.psp_modules\.(\d)\.1\.", r"pyramid.stages.\1."),
    (r"^backbone\.psp_bottleneck\.", "pyramid.bottleneck."),
    (r"^backbone\.conv_sub", "sub"),
    (r"^resnet\.", "backbone."),
    (r"^neck\.cff_(\d+)\.conv_low\.", r"fusion\1.coarse."),
    (r"^neck\.cff_(\d+)\.conv_high\.", r"fusion\1.fine."),
    (r"^decode_head\.convs\.0\.", "last."),
    (r"^decode_head\.conv_seg\.", "final."),
    (r"^auxiliary_head\.0\.", "guidance24."),
    (r"^auxiliary_head\.1\.", "guidance12."),
    (r"\.convs\.0\.", ".0."),
    (r"\.conv_seg\.", ".1."),
    (r"\.conv\.(?=\w+$)", ".0."),
    (r"\.bn\.(?=\w+$)", ".1."),
)


def _backbone(state: State, stage: str) -> str:
    """Return the ResNet's name from the blocks of its third stage.

    There are two in ResNet-18, six in ResNet-50, 23 in ResNet-101.
    """
    if f"{stage}.22.conv1.weight" in state:
        return "resnet101"
    return "resnet50" if f"{stage}.5.conv1.weight" in state else "resnet18"


def _liminn_parameters(state: State) -> dict[str, Value]:
    return {"form": "liminn", "backbone": _backbone(state, "pretrained.layer3")}


def _mmseg_parameters(state: State) -> dict[str, Value]:
    return {"form": "mmseg", "backbone": _backbone(state, "backbone.backbone.layer3")}


def liminn_outputs(network: Any, image: Tensor) -> list[Tensor]:
    """Return logits at four times those of 1/4, at 1/4, and of the guidance classifiers at 1/8 and
    1/16."""
    feature, (guide24, guide12) = network.features(image)
    quarter = network.final(feature)
    full = resize(quarter, (4 * quarter.shape[-2], 4 * quarter.shape[-1]))
    return [full, quarter, network.guidance12(guide12), network.guidance24(guide24)]


ORIGINALS: tuple[Original, ...] = (
    Original(
        name="liminn/ICNet-pytorch",
        source="liminn/ICNet-pytorch@da394fc",
        method="icnet",
        marks=(
            "pretrained.conv1.6.weight",
            "head.cff_24.conv_low_cls.weight",
            "head.conv_cls.weight",
        ),
        classifier="head.conv_cls.weight",
        rules=under("net.", LIMINN_RULES),
        parameters=_liminn_parameters,
        outputs=lambda model, inputs: liminn_outputs(model.net, inputs[0]),
        unused=(
            (
                r"^pretrained\.fc\.",
                "the classifier of ImageNet's 1000 classes, which segmentation does not run",
            ),
        ),
        absent=("pretrained.layer3.35.conv1.weight",),
    ),
    Original(
        name="mmsegmentation ICNet",
        source="open-mmlab/mmsegmentation 1.2.2",
        method="icnet",
        marks=(
            "backbone.backbone.stem.0.weight",
            "neck.cff_24.conv_low.conv.weight",
            "auxiliary_head.1.conv_seg.weight",
        ),
        classifier="decode_head.conv_seg.weight",
        rules=under("net.", MMSEG_RULES),
        parameters=_mmseg_parameters,
        outputs=image_logits,
        absent=("backbone.backbone.layer3.35.conv1.weight",),
    ),
)
