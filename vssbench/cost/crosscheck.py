"""The same count by two other tools, so that a disagreement is seen: fvcore and ptflops.

Both are asked for a keyframe's convolutions and matrix products alone, and both have blind spots (fvcore drops what a trace
finds unused; neither sees custom operations), so a non-keyframe of a method with its own operations is left out.
"""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor, nn

from vssbench import registry
from vssbench.torchvision_guard import install
from vssbench.variant import Variant

_PRODUCTS = ("conv", "linear", "matmul", "bmm", "mm", "addmm", "baddbmm", "einsum")


class _Keyframe(nn.Module):
    """A method's keyframe pass as a plain module, which is what both tools take."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        return self.model.keyframe(image)[0]


def keyframe_gmacs(variant: Variant, classes: int, height: int, width: int) -> dict[str, float]:
    """GMACs of a keyframe by tool name: ``fvcore`` and ``ptflops``."""
    install()
    from fvcore.nn import FlopCountAnalysis
    from ptflops import get_model_complexity_info

    module = _Keyframe(registry.create("methods", variant, classes=classes).eval())
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    image = torch.zeros(1, 3, height, width)
    with torch.no_grad():
        analysis = FlopCountAnalysis(module, image).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        operators = analysis.by_operator()
        ptflops, _ = get_model_complexity_info(
            module, (3, height, width), as_strings=False, print_per_layer_stat=False, backend="aten", verbose=False
        )
    return {"fvcore": sum(operators[name] for name in _PRODUCTS) / 1e9, "ptflops": float(ptflops or 0) / 1e9}
