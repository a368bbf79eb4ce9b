"""Reuse of a keyframe's labels without any later work.

It is the base of the baselines ``copy`` and ``warp``.
"""

from __future__ import annotations

from typing import Any, ClassVar

from vssbench.core.errors import UsageError
from vssbench.nets.bisenet import BiSeNet18
from vssbench.nets.network import SegmentationNetwork
from vssbench.nets.perframe import PerFrameSegmenter
from vssbench.nets.pspnet import make_pspnet

NETWORKS = ("pspnet", "bisenet")


class KeyframeBaseline(PerFrameSegmenter):
    """Segments keyframes by a per-frame network, whose weights it borrows; what a non-keyframe
    shows is the sub-class's.

    Parameters: ``network`` of keyframes, pspnet or bisenet, whose weights are used; ``layers`` and
    ``style`` of pspnet; ``scale`` of the network's input; ``width`` multiplier of all channels.
    """

    recipe = "pspnet/recipe.toml"  # trained as the network that it runs on keyframes
    title: ClassVar[str]

    def __init__(
        self,
        classes: int,
        *,
        network: str = "pspnet",
        layers: int = 18,
        style: str = "upsample",
        scale: float = 1.0,
        width: float = 1.0,
    ) -> None:
        method = self.title.lower()
        if network not in NETWORKS:
            raise UsageError(
                f"{method}: unknown network {network!r}; expected one of {', '.join(NETWORKS)}"
            )
        if network == "bisenet" and (layers, style) != (18, "upsample"):
            raise UsageError(
                f"{method}: layers and style are pspnet's; leave them out with network=bisenet"
            )
        net: SegmentationNetwork
        if network == "bisenet":
            net, name = BiSeNet18(classes, width=width), "BiSeNet18"
        else:
            net, name = make_pspnet(method, classes, layers, style, width)
        super().__init__(f"{self.title} {name}", net, classes, scale, width)

    @classmethod
    def weights_name(cls, name: str, parameters: dict[str, Any]) -> str:
        return str(parameters["network"])
