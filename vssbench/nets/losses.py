"""Segmentation losses: cross-entropy, two kinds of online hard example mining, dice, presence of
classes."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from vssbench.core.video import IGNORE
from vssbench.nets.processes import largest_over_processes, mean_over_processes, sum_over_processes


def cross_entropy(logits: Tensor, label: Tensor, weights: Tensor | None = None) -> Tensor:
    """Compute mean cross-entropy over labelled pixels, weighted by class. 0 where a crop holds no
    labelled pixel at all."""
    per_pixel = F.cross_entropy(
        logits.float(), label, weights, ignore_index=IGNORE, reduction="none"
    )
    counted = (label != IGNORE) if weights is None else _pixel_weights(label, weights)
    return per_pixel.sum() / mean_over_processes(counted.sum()).clamp(min=1e-6)


def ohem_cross_entropy(
    logits: Tensor,
    label: Tensor,
    weights: Tensor | None = None,
    threshold: float = 0.7,
    kept_share: float = 1 / 16,
) -> Tensor:
    """Compute online hard example mining of CoinCheung/BiSeNet: pixels whose true class has a
    probability under ``threshold``.

    Where these are fewer than ``kept_share`` of the labelled pixels, the hardest ones of that
    number. A mean weighted by class; 0 where a batch holds no labelled pixel.
    """
    losses, true = _labelled(logits, label)
    kept = int(_total(losses.numel(), losses) * kept_share)
    hard = ~(losses.detach() <= -math.log(threshold))  # a NaN is kept, so that it is noticed
    if kept and int(sum_over_processes(hard.sum())) < kept:
        hard = ~(losses.detach() < largest_over_processes(losses.detach(), kept))
    return _mean(losses[hard], true[hard], weights)


def probability_ohem(
    logits: Tensor,
    label: Tensor,
    weights: Tensor | None = None,
    threshold: float = 0.7,
    kept_share: float = 1 / 16,
) -> Tensor:
    """Compute online hard example mining of ycszen/TorchSeg: pixels whose true class has a
    probability of at most a bound.

    The bound is ``threshold``, or higher where fewer than ``kept_share`` of all pixels would
    remain, those without a label counted too: then the k-th smallest probability. A batch with
    fewer labelled pixels than k is not mined. A mean weighted by class; 0 where a batch holds no
    labelled pixel.
    """
    losses, true = _labelled(logits, label)
    kept = int(_total(label.numel(), losses) * kept_share)
    if kept > _total(losses.numel(), losses):
        return _mean(losses, true, weights)
    probability = (-losses.detach()).exp()
    bound = torch.tensor(threshold, device=logits.device)
    if kept:
        bound = bound.maximum(-largest_over_processes(-probability, kept))
    hard = ~(probability > bound)
    return _mean(losses[hard], true[hard], weights)


def dice_loss(logits: Tensor, label: Tensor, weights: Tensor | None = None) -> Tensor:
    """Compute 1 - the classes' mean of sum(p t) / sum(p + t) over all labelled pixels, p the
    softmax and t one-hot labels.

    As in ooooverflow/BiSeNet: without the usual factor 2, so that a perfect result leaves 0.5. The
    mean is weighted by class.
    """
    labelled = (label != IGNORE).flatten()
    probability = torch.softmax(logits.float(), 1).transpose(0, 1).flatten(1)[:, labelled]
    target = F.one_hot(label.flatten()[labelled], logits.shape[1]).T.to(probability.dtype)
    overlap = (probability * target).sum(1) / (probability + target).sum(1).clamp(min=1e-6)
    return 1 - (overlap.mean() if weights is None else (overlap * weights).sum() / weights.sum())


def presence_loss(logits: Tensor, label: Tensor) -> Tensor:
    """Compute the multi-label loss of AR-Seg's CamVid PSPNet18: (N, classes) logits against whether
    each class occurs in the label."""
    classes = logits.shape[1]
    present = torch.stack([(label == index).flatten(1).any(1) for index in range(classes)], 1)
    return F.binary_cross_entropy_with_logits(logits.float(), present.float())


def _pixel_weights(label: Tensor, weights: Tensor) -> Tensor:
    return torch.where(label == IGNORE, 0.0, weights[label.clamp(max=len(weights) - 1)])


def _labelled(logits: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Return cross-entropy and class of every labelled pixel, in order."""
    labelled = (label != IGNORE).flatten()
    per_pixel = F.cross_entropy(
        logits.float(), label, ignore_index=IGNORE, reduction="none"
    ).flatten()
    return per_pixel[labelled], label.flatten()[labelled]


def _mean(losses: Tensor, classes: Tensor, weights: Tensor | None) -> Tensor:
    """Return the mean weighted by class; 0 of no pixels."""
    importance = torch.ones_like(losses) if weights is None else weights[classes]
    return (losses * importance).sum() / mean_over_processes(importance.sum()).clamp(min=1e-6)


def _total(count: int, like: Tensor) -> int:
    """Sum a count of pixels over all processes of a training."""
    return int(sum_over_processes(torch.tensor(count, device=like.device)))
