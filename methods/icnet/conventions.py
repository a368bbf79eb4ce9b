"""The convention ``liminn``: what liminn/ICNet-pytorch executes, thrown-away layers among it
(da394fc).

Its ICNet runs the whole backbone on the halved image, of which only stages 1 and 2 are used, and
both guidance classifiers at inference: 97.42 GMACs at 720x960, of which 37.97 have an effect.
``icnet[form=liminn]`` leaves the rest out; this convention counts it. Every other method counts as
in ``macs``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from vssbench.core.variant import Variant
from vssbench.cost import gmacs
from vssbench.cost.conventions import Convention
from vssbench.cost.gmacs import Cost, meta_model
from vssbench.methods.icnet.forms import LiminnICNet
from vssbench.nets.resize import scaled_size


def count(variant: Variant, classes: int, height: int, width: int) -> Cost:
    """Return the cost with the discarded layers. Raises UsageError where the network does not
    accept that size."""
    cost = gmacs.count(variant, classes, height, width)
    model: Any = meta_model(variant, classes)
    network = getattr(model, "net", None)
    if not isinstance(network, LiminnICNet):
        return cost
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        for module, shape in network.discarded(scaled_size(height, width, model.scale)):
            module(torch.empty(shape, device="meta"))
    discarded = gmacs.total(counter)
    return replace(
        cost, gmacs_key=cost.gmacs_key + discarded, gmacs_nonkey=cost.gmacs_nonkey + discarded
    )


CONVENTIONS = {
    "liminn": Convention(
        count,
        "macs, and for icnet[form=liminn] what the original's code runs at inference and throws "
        "away",
    )
}
