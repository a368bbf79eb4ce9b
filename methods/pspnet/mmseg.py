"""open-mmlab/mmsegmentation's PSPNet with ResNet-18, 50 or 101 (ResNetV1c)."""

from __future__ import annotations

from vssbench.core.variant import Value
from vssbench.methods.arseg.originals import under
from vssbench.weights.original import Original, State, image_logits

_RULES = (
    (r"^backbone\.stem\.7\.", "backbone.bn1."),
    (r"^backbone\.stem\.", "backbone.conv1."),
    (r"^decode_head\.psp_modules\.(\d)\.1\.conv\.", r"psp.stages.\1.0."),
    (r"^decode_head\.psp_modules\.(\d)\.1\.bn\.", r"psp.stages.\1.1."),
    (r"^decode_head\.bottleneck\.conv\.", "head.0."),
    (r"^decode_head\.bottleneck\.bn\.", "head.1."),
    (r"^decode_head\.conv_seg\.", "final."),
    (r"^auxiliary_head\.convs\.0\.conv\.", "auxiliary_head.0."),
    (r"^auxiliary_head\.convs\.0\.bn\.", "auxiliary_head.1."),
    (r"^auxiliary_head\.conv_seg\.", "auxiliary_head.4."),
)


def _parameters(state: State) -> dict[str, Value]:
    if "backbone.layer1.0.conv3.weight" not in state:
        return {"layers": 18, "style": "mmseg"}
    return {"layers": 101 if "backbone.layer3.22.conv1.weight" in state else 50, "style": "mmseg"}


ORIGINALS: tuple[Original, ...] = (
    Original(
        name="mmsegmentation PSPNet",
        source="open-mmlab/mmsegmentation 1.2.2",
        method="pspnet",
        marks=(
            "backbone.stem.0.weight",
            "decode_head.psp_modules.0.1.conv.weight",
            "decode_head.conv_seg.weight",
        ),
        classifier="decode_head.conv_seg.weight",
        rules=under("net.", _RULES),
        parameters=_parameters,
        outputs=image_logits,
    ),
)
