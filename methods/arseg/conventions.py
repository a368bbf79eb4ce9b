"""The convention ``arseg``: the GFLOPs column of AR-Seg's tables, artefacts and all (CVPR 2023,
Tables 1 and 3).

The column is reproduced to the printed digit by

    key     = the network at H x W, by thop 0.0.31 (:mod:`vssbench.cost.thop`)
    non-key = the whole network at int(H s) x int(W s), by thop
            + multiply-accumulates of CReFF, without its biases; the warp is free
            + head term: pixels of the keyframe's feature x (1 - s^2) x channels x classes

and the mean over a GOP. The head term moves the last 1x1 convolution to full size; it takes 11
classes on CamVid although the network has 12 outputs. What the authors' code registers twice counts
four times (:mod:`vssbench.methods.arseg.authors`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vssbench.core.errors import UsageError
from vssbench.core.variant import Variant
from vssbench.cost.conventions import Convention
from vssbench.cost.gmacs import REFUSALS, Cost, inputs, is_per_frame, meta_model, total
from vssbench.cost.shapes import ShapesAlone
from vssbench.cost.thop import ThopCounter
from vssbench.methods.arseg.authors import authors_code, networks
from vssbench.nets.network import SegmentationNetwork
from vssbench.nets.resize import scaled_size
from vssbench.weights.network import weights_name

#: the GOP of all the paper's tables but for the rows on the keyframe interval
_GOP = 12
#: classes asked for -> (outputs of the network, classes of the head term): AR-Seg trains CamVid
#: with a twelfth class, Void
_CAMVID = {11: (12, 11), 12: (12, 11)}

#: methods that run one of the paper's per-frame networks on keyframes, and those that borrow it
_BASELINES = ("pspnet", "bisenet")


@dataclass(frozen=True)
class ArsegCost(Cost):
    """``gmacs_head`` is the part of ``gmacs_nonkey`` that the paper's rows on other keyframe
    intervals leave out."""

    gmacs_head: float = 0.0

    def gmacs_gop(self, gop: int) -> float:
        """Return the mean GMACs of a GOP as in Table 3, with or without the head term.

        Table 3's rows for L = 15, 20 and 30 come out without the head term alone, all the others (L
        = 12) with it.
        """
        nonkey = self.gmacs_nonkey - (0.0 if gop == _GOP else self.gmacs_head)
        return (self.gmacs_key + (gop - 1) * nonkey) / gop


def count(variant: Variant, classes: int, height: int, width: int) -> ArsegCost:
    """Return the cost in AR-Seg's convention; a method outside its paper is counted by thop's rules
    on the method's modules.

    11 and 12 classes both mean the paper's CamVid. Raises UsageError where the network does not
    accept that size.
    """
    outputs, head_classes = _CAMVID.get(classes, (classes, classes))
    model: Any = meta_model(variant, outputs)
    asked = model if classes == outputs else meta_model(variant, classes)
    params = asked.inference_parameters()
    try:
        with torch.no_grad(), ShapesAlone():
            if variant.name == "arseg":
                return ArsegCost(params, *_arseg(model, head_classes, height, width))
            baseline = weights_name(variant) in _BASELINES
            return ArsegCost(params, *_other(model, baseline, height, width))
    except REFUSALS as error:
        raise UsageError(f"{variant} does not run at {height}x{width}: {error}") from error


def _counter(model: nn.Module, *silent: nn.Module) -> ThopCounter:
    """Return a counter that knows the authors' names of every network inside the model, and leaves
    out the ``silent`` submodules."""
    known = [(network, authors_code(network)) for network in networks(model)]
    times = {module: number for _, code in known for module, number in code.times().items()}
    times.update(dict.fromkeys(silent, 0))
    return ThopCounter(
        times, {network.final: code.per_logit() for network, code in known if code.per_logit()}
    )


def _network(network: SegmentationNetwork, height: int, width: int) -> tuple[float, torch.Tensor]:
    """Return GMACs of a whole network, with the heads that the authors' measurement ran; and its
    feature."""
    image, _ = inputs(height, width)
    with _counter(network) as counter:
        feature, extra = network.features(image)
        network.classify(feature, (height, width))
        if auxiliary := authors_code(network).auxiliary:
            auxiliary(extra)
    return counter.total / 1e9, feature


def _arseg(model: Any, head_classes: int, height: int, width: int) -> tuple[float, float, float]:
    """Return GMACs of a keyframe, of another frame, and the head term in the latter."""
    key, feature = _network(model.high, height, width)
    if model.mode == "warp":
        return key, 0.0, 0.0
    # the low-resolution network is of the same shape, but for the last convolution, which the two
    # share
    low, _ = _network(model.high, *scaled_size(height, width, model.scale))
    if model.mode == "none":
        return key, low, 0.0
    if model.location != "c1x1":
        return key, _fused_earlier(model, height, width), 0.0
    channels, pixels = feature.shape[1], feature.shape[-2] * feature.shape[-1]
    head = pixels * (1 - model.scale**2) * channels * head_classes / 1e9
    return key, low + _fusion(model.fusion, feature) + head, head


def _fusion(fusion: Any, reference: torch.Tensor) -> float:
    """Return GMACs of CReFF on a keyframe's feature. What thop makes of the global attention's
    torch module is not published; the printed 113.58 takes six products of a pixel with a C x C
    matrix beside the three convolutions, and no attention."""
    with FlopCounterMode(display=False) as counter:
        if fusion.kind == "global":
            for convolution in (fusion.query, fusion.key, fusion.value):
                convolution(reference)
        else:
            fusion(reference, reference)
    channels, pixels = reference.shape[1], reference.shape[-2] * reference.shape[-1]
    projections = 6 * channels**2 * pixels if fusion.kind == "global" else 0
    return total(counter) + projections / 1e9


def _fused_earlier(model: Any, height: int, width: int) -> float:
    """Return GMACs of a non-keyframe whose fusion is before N_task or N_feat, so that what follows
    runs at full size."""
    image, motion = inputs(height, width)
    _, reference = model.keyframe(image)
    with _counter(model, model.fusion) as counter:
        model.nonkeyframe(image, motion, reference)
    return counter.total / 1e9 + _fusion(model.fusion, reference)


def _other(model: Any, baseline: bool, height: int, width: int) -> tuple[float, float]:
    """Return GMACs of a keyframe and of another frame; a network of the paper's baselines with what
    its authors' code makes of it."""
    image, motion = inputs(height, width)
    with ThopCounter() as on_key:
        _, reference = model.begin(image)
    key = on_key.total / 1e9
    if baseline:
        key, _ = _network(model.net, *scaled_size(height, width, model.scale))
    if is_per_frame(model):
        return key, key
    with ThopCounter() as on_other:
        model.follow(image, motion, reference)
    return key, on_other.total / 1e9


CONVENTIONS = {
    "arseg": Convention(
        count,
        "the GFLOPs of AR-Seg's tables: thop 0.0.31 (with biases and batch norm, aliased layers "
        "four times, PSPNet18 semseg's auxiliary head), 11 classes in the head term on CamVid, no "
        "warp",
    )
}
