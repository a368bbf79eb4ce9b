"""BiSeNet V1 with ResNet-18 on every frame: a spatial and a context path (Yu et al., ECCV 2018)."""

from __future__ import annotations

from vssbench.nets.bisenet import BiSeNet18
from vssbench.perframe import PerFrameSegmenter


class BiSeNet(PerFrameSegmenter):
    """Parameters: ``scale`` of the network's input (1 = full resolution), ``width`` multiplier of all channels."""

    def __init__(self, classes: int, *, scale: float = 1.0, width: float = 1.0) -> None:
        super().__init__("BiSeNet18", BiSeNet18(classes, width), classes, scale, width)
