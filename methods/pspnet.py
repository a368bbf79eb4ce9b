"""PSPNet with ResNet-18 on every frame, at any constant scale (Zhao et al., CVPR 2017; AR-Seg's per-frame baseline)."""

from __future__ import annotations

from vssbench.nets.pspnet import PSPNet18
from vssbench.perframe import PerFrameSegmenter


class PSPNet(PerFrameSegmenter):
    """Parameters: ``scale`` of the network's input (1 = full resolution), ``width`` multiplier of all channels."""

    def __init__(self, classes: int, *, scale: float = 1.0, width: float = 1.0) -> None:
        super().__init__("PSPNet18", PSPNet18(classes, width), classes, scale, width)
