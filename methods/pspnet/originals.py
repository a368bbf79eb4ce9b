"""hszhao/semseg's PSPNet50 and PSPNet101, by the PSPNet paper's first author."""

from __future__ import annotations

from vssbench.core.variant import Value
from vssbench.methods.arseg.originals import SEMSEG_RULES, under
from vssbench.weights.original import Original, State, image_logits

#: the deep stem in front of AR-Seg's rules, which know the 7x7 one
_STEM_RULES = (
    (r"^layer0\.([01346])\.", r"backbone.conv1.\1."),
    (r"^layer0\.7\.", "backbone.bn1."),
)


def _parameters(state: State) -> dict[str, Value]:
    return {"layers": 101 if "layer3.22.conv1.weight" in state else 50, "style": "semseg"}


ORIGINALS: tuple[Original, ...] = (
    Original(
        name="hszhao/semseg PSPNet",
        source="hszhao/semseg@4f274c3",
        method="pspnet",
        marks=(
            "layer0.6.weight",
            "ppm.features.0.1.weight",
            "cls.4.weight",
            "layer1.0.conv3.weight",
        ),
        classifier="cls.4.weight",
        rules=under("net.", (*_STEM_RULES, *SEMSEG_RULES)),
        parameters=_parameters,
        outputs=image_logits,
    ),
)
