"""thop 0.0.31's rules against arithmetic by hand, and against a plain re-statement of how the tool
hooks and sums."""

import torch
import torch.nn.functional as F
from torch import nn

from vssbench.cost.thop import ThopCounter


def counted(module, *shape, **given):
    with torch.no_grad(), ThopCounter(**given) as counter:
        module(torch.zeros(shape))
    return counter.total


def test_rules_by_hand():
    assert counted(nn.Conv2d(4, 6, 3, padding=1, bias=False), 1, 4, 5, 7) == 6 * 35 * (4 * 9)
    assert counted(nn.Conv2d(4, 6, 3, padding=1, groups=2), 1, 4, 5, 7) == 6 * 35 * (2 * 9 + 1)
    assert counted(
        nn.ConvTranspose2d(4, 6, 4, stride=2, padding=1, groups=2), 1, 4, 5, 7
    ) == 6 * 140 * (2 * 16 + 1)
    assert counted(nn.Linear(4, 6), 3, 4) == 3 * 6 * 4
    assert counted(nn.BatchNorm2d(4).eval(), 1, 4, 5, 7) == 2 * 4 * 35
    assert counted(nn.AvgPool2d(2), 1, 4, 6, 8) == 4 * 12
    assert counted(nn.AdaptiveAvgPool2d(3), 1, 4, 10, 7) == 4 * 9 * (3 * 2 + 1)
    assert counted(nn.LeakyReLU(0.1), 1, 4, 5, 7) == 4 * 35
    assert (
        counted(nn.Sequential(nn.ReLU(), nn.PReLU(), nn.MaxPool2d(2), nn.Softmax(1)), 1, 4, 6, 8)
        == 0
    )
    assert counted(lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"), 1, 4, 5, 7) == 0


def test_functions_count_as_modules_do():
    assert counted(lambda x: F.adaptive_avg_pool2d(x, 2), 1, 4, 6, 6) == counted(
        nn.AdaptiveAvgPool2d(2), 1, 4, 6, 6
    )


def test_factors_hold_inside_their_submodule_alone():
    first, second = nn.Conv2d(2, 2, 1), nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2).eval())
    each, norm = 2 * 16 * 3, 2 * 2 * 16
    model = nn.Sequential(first, second, first)
    assert counted(model, 1, 2, 4, 4) == 3 * each + norm
    assert counted(model, 1, 2, 4, 4, times={second: 4}) == 2 * each + 4 * (each + norm)
    assert counted(model, 1, 2, 4, 4, times={second: 0}) == 2 * each
    assert counted(model, 1, 2, 4, 4, per_output={second: 11}) == 3 * each + norm + 11 * 32
    assert not second._forward_hooks


class TwoNames(nn.Module):
    """A head that is registered a second time, as AR-Seg's BiSeNet registers its own."""

    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, 4, 3)
        self.head = nn.Sequential(nn.Conv2d(4, 4, 3, bias=False), nn.Conv2d(4, 5, 1))
        self.again = self.head[0]

    def forward(self, x):
        return self.head(self.body(x))


def hooked_and_summed(model, x):
    """One hook for each time that a walk over names meets a module, then a sum over all names."""
    totals = {}

    def hook(module, inputs, output):
        volume = module.in_channels * module.kernel_size[0] * module.kernel_size[1] + (
            module.bias is not None
        )
        totals[module] = totals.get(module, 0) + output.numel() * volume

    def meet(module):
        for child in module.children():
            meet(child)
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(hook)

    def summed(module):
        return sum(
            totals[child] if isinstance(child, nn.Conv2d) else summed(child)
            for child in module.children()
        )

    meet(model)
    with torch.no_grad():
        model(x)
    return summed(model)


def test_two_names_count_four_times():
    model = TwoNames()
    ours = counted(model, 1, 3, 9, 8, times={model.again: 2**2})
    assert hooked_and_summed(model, torch.zeros(1, 3, 9, 8)) == ours
    assert ours > counted(model, 1, 3, 9, 8)
