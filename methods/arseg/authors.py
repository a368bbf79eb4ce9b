"""Where the authors' code of a network differs from ours in what thop's sums depend on (AR-Seg's
repository, 6a72b5d).

None of this changes a network's output. It is what the convention ``arseg`` needs to reach the
published GFLOPs: layers that are registered under several names, functions that are modules there
and modules that are functions there, heads that ran in the authors' measurement although inference
has no use for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from vssbench.nets.bisenet import BiSeNet18, ChannelGate
from vssbench.nets.network import SegmentationNetwork
from vssbench.nets.pspnet import SemsegPSPNet, UpsamplingPSPNet

#: thop's price of one output value of a bilinear ``nn.Upsample``: 6 multiplications and 5 additions
_BILINEAR = 11


@dataclass(frozen=True)
class AuthorsCode:
    """``names``: submodule -> names that it has there, where not one. ``functions``: submodules
    that are plain functions there, which thop does not see. ``upsampling``: the factor of an
    ``nn.Upsample`` that follows the last convolution, with its number of names. ``auxiliary``: runs
    the training-only heads that were measured, from the network and the second output of its
    ``features``."""

    names: Mapping[nn.Module, int] = field(default_factory=dict)
    functions: tuple[nn.Module, ...] = ()
    upsampling: tuple[int, int] | None = None
    auxiliary: Callable[[Any], Tensor] | None = None

    def times(self) -> dict[nn.Module, int]:
        """Return how often operations in each submodule count.

        They are hooked once a name, and summed over names.
        """
        return {
            **{module: names**2 for module, names in self.names.items()},
            **dict.fromkeys(self.functions, 0),
        }

    def per_logit(self) -> int:
        """Return the operations that thop adds for each value of the last convolution's output."""
        if self.upsampling is None:
            return 0
        factor, names = self.upsampling
        return _BILINEAR * factor**2 * names**2


def authors_code(network: nn.Module) -> AuthorsCode:
    """Return AR-Seg's own code of a network of ours. What has no such code is counted as it is."""
    if isinstance(network, BiSeNet18):
        # feat_conv_out, final_conv and out_upsample name the head's three layers a second time; the
        # gates' means are functions
        gates = tuple(module[0] for module in network.modules() if isinstance(module, ChannelGate))
        return AuthorsCode({network.head: 2, network.final: 2}, gates, upsampling=(8, 2))
    if type(network) is SemsegPSPNet and network.backbone.layers == 18:
        # final_conv names cls[4] again, and the auxiliary head is run in every mode
        return AuthorsCode({network.final: 2}, auxiliary=network.auxiliary_head)
    if isinstance(network, UpsamplingPSPNet):
        return AuthorsCode(auxiliary=network.presence_logits)
    return AuthorsCode()


def networks(model: nn.Module) -> list[SegmentationNetwork]:
    """Return the segmentation networks inside a method."""
    return [module for module in model.modules() if isinstance(module, SegmentationNetwork)]
