"""hszhao/semseg's PSPNet50 and PSPNet101, by the PSPNet paper's first author."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from vssbench.originals.arseg import SEMSEG_RULES, under
from vssbench.originals.original import Original, State
from vssbench.variant import Value

#: the deep stem in front of AR-Seg's rules, which know the 7x7 one
_STEM_RULES = (
    (r"^layer0\.([01346])\.", r"backbone.conv1.\1."),
    (r"^layer0\.7\.", "backbone.bn1."),
)


def _parameters(state: State) -> dict[str, Value]:
    return {"layers": 101 if "layer3.22.conv1.weight" in state else 50, "style": "semseg"}


def _outputs(model: Any, inputs: Sequence[Tensor]) -> list[Tensor]:
    """The logits at the image's size (of sides 8 n + 1, where the zoom factor 8 gives back the input's own size)."""
    return [model.net(inputs[0])[0]]


ORIGINALS: tuple[Original, ...] = (
    Original(
        name="hszhao/semseg PSPNet",
        source="hszhao/semseg@4f274c3",
        method="pspnet",
        marks=("layer0.6.weight", "ppm.features.0.1.weight", "cls.4.weight", "layer1.0.conv3.weight"),
        classifier="cls.4.weight",
        rules=under("net.", (*_STEM_RULES, *SEMSEG_RULES)),
        parameters=_parameters,
        outputs=_outputs,
    ),
)
