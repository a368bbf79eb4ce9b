"""Segmentation losses: cross-entropy, online hard example mining, presence of classes."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from vssbench.video import IGNORE


def cross_entropy(logits: Tensor, label: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean cross-entropy over labelled pixels, weighted by class. 0 where a crop holds no labelled pixel at all."""
    per_pixel = F.cross_entropy(logits.float(), label, weights, ignore_index=IGNORE, reduction="none")
    counted = (label != IGNORE) if weights is None else _pixel_weights(label, weights)
    return per_pixel.sum() / counted.sum().clamp(min=1e-6)


def ohem_cross_entropy(
    logits: Tensor, label: Tensor, weights: Tensor | None = None, threshold: float = 0.7, kept_share: float = 1 / 16
) -> Tensor:
    """Online hard example mining as in BiSeNet's codes: pixels whose true class has a probability under ``threshold``.

    At least ``kept_share`` of the labelled pixels, the hardest, are kept.
    """
    per_pixel = F.cross_entropy(logits.float(), label, ignore_index=IGNORE, reduction="none").flatten()
    labelled = (label != IGNORE).flatten()
    losses = per_pixel[labelled]
    if losses.numel() == 0:
        return per_pixel.sum() * 0
    kept = max(1, int(losses.numel() * kept_share))
    bound = torch.topk(losses.detach(), kept).values[-1].clamp(max=-math.log(threshold))
    hard = losses.detach() >= bound
    if weights is None:
        return losses[hard].mean()
    importance = weights[label.flatten()[labelled][hard]]
    return (losses[hard] * importance).sum() / importance.sum()


def presence_loss(logits: Tensor, label: Tensor) -> Tensor:
    """Multi-label loss of AR-Seg's CamVid PSPNet18: (N, classes) logits against whether each class occurs in the label."""
    classes = logits.shape[1]
    present = torch.stack([(label == index).flatten(1).any(1) for index in range(classes)], 1)
    return F.binary_cross_entropy_with_logits(logits.float(), present.float())


def _pixel_weights(label: Tensor, weights: Tensor) -> Tensor:
    return torch.where(label == IGNORE, 0.0, weights[label.clamp(max=len(weights) - 1)])
