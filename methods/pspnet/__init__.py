"""PSPNet on every frame, at any constant scale (Zhao et al., CVPR 2017; AR-Seg's per-frame
baseline)."""

from __future__ import annotations

from typing import Literal

from vssbench.methods.pspnet.mmseg import ORIGINALS as MMSEG
from vssbench.methods.pspnet.originals import ORIGINALS
from vssbench.nets.perframe import PerFrameSegmenter
from vssbench.nets.pspnet import make_pspnet


class PSPNet(PerFrameSegmenter):
    """Parameters: ``layers`` of the ResNet (18, 50, 101), ``style`` upsample (AR-Seg's CamVid
    network), semseg (hszhao/semseg's, AR-Seg's Cityscapes network) or mmseg (open-mmlab's),
    ``scale`` of the network's input (1 = full resolution), ``width`` multiplier of all channels."""

    originals = (*ORIGINALS, *MMSEG)

    def __init__(
        self,
        classes: int,
        *,
        layers: Literal[18, 50, 101] = 18,
        style: Literal["upsample", "semseg", "mmseg"] = "upsample",
        scale: float = 1.0,
        width: float = 1.0,
    ) -> None:
        network, name = make_pspnet(classes, layers, style, width)
        super().__init__(name, network, classes, scale, width)
