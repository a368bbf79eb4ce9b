"""The check of a network's gradients as a training in bf16 on a CPU has it."""

from __future__ import annotations

import torch
from torch import nn

from vssbench.training.gradients import Findings, right_gradients


def checked(model: nn.Module, shape=(2, 3, 12, 16), **more) -> Findings:
    image = torch.rand(shape, generator=torch.Generator().manual_seed(1)).contiguous(
        memory_format=torch.channels_last
    )
    return right_gradients(model, lambda: loss_of(model, image), "cpu", "bf16", **more)


def loss_of(model: nn.Module, image: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return model(image).float().square().sum()
