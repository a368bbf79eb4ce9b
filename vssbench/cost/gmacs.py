"""Multiply-accumulates and parameters of a method, counted without data, weights or a single real
multiplication.

The networks run on torch's meta device under FlopCounterMode, which sees every convolution and
matrix product, functional calls among them; warping and local attention are counted by registered
formulas, and what may multiply without a formula is named (``Cost.uncounted``). One
multiply-accumulate is counted as 1 (the convention ``macs``); batch normalisation, activations,
resizing and softmax are not counted. Papers in this field mostly print multiply-accumulates and
call them FLOPs. Other conventions: :mod:`vssbench.cost.conventions`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch.utils import flop_counter
from torch.utils.flop_counter import FlopCounterMode

from vssbench.core import registry
from vssbench.core.bounds import WEIGHTS
from vssbench.core.errors import UsageError
from vssbench.core.segmenter import VideoSegmenter, is_per_frame
from vssbench.core.uncompiled import uncompiled
from vssbench.core.variant import Variant
from vssbench.cost.shapes import ShapesAlone, Unfilled
from vssbench.cost.uncounted import Watch

if hasattr(flop_counter, "_FlopCounterMode"):
    uncompiled(flop_counter._FlopCounterMode)

#: what torch raises where a network cannot take an input
REFUSALS = (RuntimeError, ValueError, IndexError)


@dataclass(frozen=True)
class Parameters:
    """Numbers of parameters: ``training`` all that are stored, auxiliary heads among them;
    ``inference`` those that run."""

    training: int
    inference: int


@dataclass(frozen=True)
class Cost:
    """GMACs (1e9 multiply-accumulates) of one keyframe and of one other frame; parameters that
    inference uses. ``uncounted`` names the operators that ran, may multiply, and have no
    formula."""

    params: int
    gmacs_key: float
    gmacs_nonkey: float
    uncounted: tuple[str, ...] = field(default=(), kw_only=True)

    def gmacs_gop(self, gop: int) -> float:
        """Return the mean over a GOP of L frames: (key + (L-1) nonkey) / L, AR-Seg's average
        (papers' Table 1)."""
        return (self.gmacs_key + (gop - 1) * self.gmacs_nonkey) / gop


def meta_model(variant: Variant, classes: int) -> VideoSegmenter:
    """Return the method's network without storage, in evaluation mode."""
    with torch.device("meta"), Unfilled():
        model: VideoSegmenter = registry.create("methods", variant, classes=classes)
    # before anything of it is made: on the meta device a tensor is of any size
    WEIGHTS.check(
        sum(4 * tensor.numel() for tensor in model.state_dict().values()), str(variant), UsageError
    )
    return model.eval()


@dataclass(frozen=True)
class Traits:
    """A method's name for people, what it needs of a codec, and whether its network has an output
    beside the classes."""

    display: str
    needs: frozenset[str]
    void: bool


def traits(variant: Variant, classes: int) -> Traits:
    """Return the traits of a method for so many classes. Raises UsageError for parameters that it
    does not have or allow."""
    cls = registry.load("methods", variant.name)
    return _traits(cls, variant, classes)  # type: ignore[arg-type]


@lru_cache  # a grid asks for it once an experiment
def _traits(cls: type[VideoSegmenter], variant: Variant, classes: int) -> Traits:
    model = meta_model(variant, classes)
    return Traits(model.display, model.needs, model.void is not None)


def parameters(model: VideoSegmenter) -> Parameters:
    """Count the parameters of a method's network, trained or on the meta device."""
    return Parameters(
        sum(parameter.numel() for parameter in model.parameters()), model.inference_parameters()
    )


def count(variant: Variant, classes: int, height: int, width: int) -> Cost:
    """Return the cost of a method at an input size in pixels. Raises UsageError where the network
    does not accept that size."""
    model = meta_model(variant, classes)
    image, motion = inputs(height, width)
    try:
        with torch.no_grad(), Watch() as seen, ShapesAlone(seen.note):
            with FlopCounterMode(display=False) as on_key:
                _, reference = model.begin(image)
            if is_per_frame(model):
                on_other = on_key
            else:
                with FlopCounterMode(display=False) as on_other:
                    model.follow(image, motion, reference)
    except REFUSALS as error:
        raise UsageError(f"{variant} does not run at {height}x{width}: {error}") from error
    return Cost(
        model.inference_parameters(), total(on_key), total(on_other), uncounted=seen.names()
    )


def inputs(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return an image and a motion field without storage."""
    return torch.empty(1, 3, height, width, device="meta"), torch.zeros(
        1, 2, height, width, device="meta"
    )


def total(counter: FlopCounterMode) -> float:
    """Return GMACs that a counter saw: it counts a multiply-accumulate as two operations."""
    return counter.get_total_flops() / 2e9
