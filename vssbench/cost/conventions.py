"""The conventions in which a cost can be counted, by the name that the command line and every
output give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vssbench.core.variant import Variant
from vssbench.cost import gmacs
from vssbench.cost.gmacs import Cost
from vssbench.methods.arseg import conventions as arseg
from vssbench.methods.icnet import conventions as liminn


@dataclass(frozen=True)
class Convention:
    """``count(variant, classes, height, width)``; ``summary`` is one line for the foot of a
    table."""

    count: Callable[[Variant, int, int, int], Cost]
    summary: str


CONVENTIONS: dict[str, Convention] = {
    "macs": Convention(
        gmacs.count,
        "1 multiply-accumulate = 1; convolutions, matrix products, local attention, the warp's "
        "taps; nothing that inference does not run",
    ),
    "arseg": Convention(
        arseg.count,
        "the GFLOPs of AR-Seg's tables: thop 0.0.31 (with biases and batch norm, aliased layers "
        "four times, PSPNet18 semseg's auxiliary head), 11 classes in the head term on CamVid, no "
        "warp",
    ),
    "liminn": Convention(
        liminn.count,
        "macs, and for icnet[form=liminn] what the original's code runs at inference and throws "
        "away",
    ),
}
