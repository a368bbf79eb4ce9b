"""Counts the bytes of activations that a method's operators move, on the meta device.

The count is exact and the same on any machine, of the network as it is written. Definitions:
docs/cost.md. What a process takes is measured by :mod:`vssbench.run.footprint`.
"""

from __future__ import annotations

from vssbench.core.errors import UsageError
from vssbench.core.variant import Variant
from vssbench.cost.gmacs import REFUSALS, inputs, is_per_frame, meta_model
from vssbench.cost.operators import Traffic, watch
from vssbench.cost.shapes import ResizingAlone


def traffic(variant: Variant, classes: int, height: int, width: int) -> tuple[Traffic, Traffic]:
    """Return activation bytes of a keyframe and of another frame. Raises UsageError where the
    network does not run at that size."""
    model = meta_model(variant, classes)
    image, motion = inputs(height, width)
    try:
        with ResizingAlone():
            key, (_, reference) = watch(model, model.begin, image)
            if is_per_frame(model):
                return key.traffic, key.traffic
            other, _ = watch(model, model.follow, image, motion, reference)
    except REFUSALS as error:
        raise UsageError(f"{variant} does not run at {height}x{width}: {error}") from error
    return key.traffic, other.traffic
