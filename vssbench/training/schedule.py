"""From a recipe to torch: the learning rate at every iteration, and the optimiser with its groups
of parameters."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable

import torch
from torch import nn

from vssbench.core.errors import UsageError
from vssbench.training.recipe import Optimiser, Schedule

#: of Optimiser.multipliers: every parameter that no other key matches
REST = "*"


def rate_factor(schedule: Schedule, progress: float, epochs: float, steps: int) -> float:
    """Return the factor of the learning rate after ``progress`` of ``epochs`` epochs of ``steps``
    iterations each."""
    warm = min(
        schedule.warmup if schedule.warmup_unit == "epochs" else schedule.warmup / steps, epochs / 2
    )
    if progress < warm:
        share, start = progress / warm, schedule.warmup_start
        return (
            start ** (1 - share)
            if schedule.warmup_form == "exponential"
            else start + (1 - start) * share
        )
    if schedule.kind == "constant":
        return 1.0
    if schedule.kind == "step":
        return schedule.gamma ** sum(progress >= share * epochs for share in schedule.milestones)
    done = min(1.0, (progress - warm) / (epochs - warm))
    decay = (
        0.5 * (1 + math.cos(math.pi * done))
        if schedule.kind == "cosine"
        else (1 - done) ** schedule.power
    )
    return schedule.floor + (1 - schedule.floor) * decay


def build_optimiser(
    settings: Optimiser,
    parameters: Iterable[tuple[str, nn.Parameter]],
    trained: Collection[str],
    rate: float,
) -> torch.optim.Optimizer:
    """Return an optimiser of those of a network's named parameters that are ``trained``, at the
    learning rate ``rate``; every group keeps its own rate as ``base``.

    Raises UsageError where a key of ``multipliers`` matches no parameter of the network.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    unmatched = set(settings.multipliers) - {REST}
    for name, parameter in parameters:
        key = _matching(name, settings.multipliers)
        unmatched.discard(key)
        if name in trained:
            decay = settings.weight_decay if settings.decay_all or parameter.ndim > 1 else 0.0
            groups.setdefault((settings.multipliers.get(key, 1.0), decay), []).append(parameter)
    if unmatched:
        raise UsageError(
            f"the recipe multiplies the learning rate of {', '.join(sorted(unmatched))}, and no "
            "parameter of this network has such a part in its name: use another recipe for this "
            "variant"
        )
    listed = [
        {
            "params": members,
            "lr": rate * multiplier,
            "base": rate * multiplier,
            "weight_decay": decay,
        }
        for (multiplier, decay), members in groups.items()
    ]
    if settings.kind == "sgd":
        return torch.optim.SGD(
            listed, lr=rate, momentum=settings.momentum, nesterov=settings.nesterov
        )
    adam = torch.optim.Adam if settings.kind == "adam" else torch.optim.AdamW
    return adam(listed, lr=rate, betas=(settings.momentum, 0.999))


def _matching(name: str, keys: Iterable[str]) -> str:
    """Return the longest key that is whole segments of a dotted name, else :data:`REST`.

    It is one segment or more.
    """
    matching = [key for key in keys if f".{key}." in f".{name}."]
    return max(matching, key=len, default=REST)
