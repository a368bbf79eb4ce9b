"""Layers whose kernels leave their memory are never run by them in a training."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vssbench.training.gradients import right_gradients
from vssbench.training.kept import Kept
from vssbench.training.overruns import overrunning


def convolutions() -> nn.Sequential:
    """Two whose weights' gradient is computed beyond its memory by some kernels, in bf16 and in any
    precision, among others that are like them."""
    layers = {
        "first": nn.Conv2d(3, 12, 3, stride=2, padding=1),
        "strided": nn.Conv2d(12, 24, 1, stride=2),
        "dilated": nn.Conv2d(24, 32, 3, padding=2, dilation=2),
        "whole": nn.Conv2d(32, 32, 3, padding=2, dilation=2),
        "many": nn.Conv2d(32, 16, 1, stride=2),
        "dense": nn.Conv2d(16, 12, 3, padding=1),
        "plain": nn.Conv2d(12, 8, 1),
    }
    torch.manual_seed(0)
    model = nn.Sequential()
    for name, layer in layers.items():
        model.add_module(name, layer)
    return model.to(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("precision", "names"), [("bf16", {"strided", "dilated"}), ("fp32", {"strided"})]
)
def test_what_kernels_compute_beyond_its_memory_is_never_run_in_channels_last(precision, names):
    """Not in the pass that comes before the check either."""
    model = convolutions()
    image = torch.rand(2, 3, 32, 48).contiguous(memory_format=torch.channels_last)
    in_pass = []

    def kept():
        return {name for name, each in model.named_children() if isinstance(each, Kept)}

    def loss():
        in_pass.append(kept())
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            return model(image).float().square().sum()

    found = right_gradients(model, loss, "cpu", precision)
    assert in_pass == [names]
    assert names <= found.kept.keys() == kept()
    assert "NCHW" in found.line(precision)
    # one whose weights are not trained has no such gradient
    model.strided.weight.requires_grad_(False)
    assert "strided" not in right_gradients(model, loss, "cpu", precision).kept
    assert "strided" not in kept()
    assert overrunning(model, "cuda", precision) == {}
