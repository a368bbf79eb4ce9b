"""Convolutions of upsampled and of pooled features against the steps one by one."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vssbench import native
from vssbench.fast.pooled_conv import PooledConv
from vssbench.fast.upsampled_conv import UpsampledConv
from vssbench.nets.resize import resize

needs_compiler = pytest.mark.skipif(
    not native.available(), reason="no C compiler, or VSSBENCH_NATIVE=0"
)


def close(found, expected):
    return (
        found.shape == expected.shape
        and (found - expected).abs().max() <= 1e-4 * expected.abs().max()
    )


@needs_compiler
@torch.no_grad()
@pytest.mark.parametrize(
    ("count", "inputs", "outputs", "height", "width"),
    [
        (1, 16, 8, 5, 7),
        (2, 64, 64, 9, 50),
        (1, 130, 72, 3, 4),
        (1, 24, 40, 1, 1),
        (1, 8, 96, 50, 93),
        (1, 8, 32, 2, 1),
    ],
)
def test_the_upsampled_convolution(count, inputs, outputs, height, width):
    torch.manual_seed(0)
    conv, act = nn.Conv2d(inputs, outputs, 3, padding=1), nn.PReLU(outputs, init=0.3)
    x = torch.randn(count, inputs, height, width)
    expected = act(conv(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)))
    stage = UpsampledConv(conv, act.weight)
    for form in (x, x.contiguous(memory_format=torch.channels_last)):
        result = stage(form)
        assert close(result, expected)
        assert result.is_contiguous(memory_format=torch.channels_last)


@needs_compiler
@torch.no_grad()
def test_bfloat16_is_rounded_once():
    torch.manual_seed(4)
    stage, x = (
        UpsampledConv(nn.Conv2d(24, 40, 3, padding=1), torch.tensor(0.25)),
        torch.randn(1, 24, 7, 9).bfloat16(),
    )
    result = stage(x)
    assert result.dtype == torch.bfloat16
    assert torch.equal(result, stage(x.float()).bfloat16())


@torch.no_grad()
def test_one_slope_for_all_channels_and_no_bias():
    torch.manual_seed(1)
    conv, x = nn.Conv2d(8, 32, 3, padding=1, bias=False), torch.randn(1, 8, 4, 5)
    expected = F.prelu(
        conv(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)),
        torch.tensor([0.25]),
    )
    assert close(UpsampledConv(conv, torch.tensor([0.25]))(x), expected)


@torch.no_grad()
def test_memory_format_of_the_module_leaves_the_packed_taps_alone():
    torch.manual_seed(2)
    stage, x = (
        UpsampledConv(nn.Conv2d(8, 32, 3, padding=1), torch.tensor(0.0)),
        torch.randn(1, 8, 4, 5),
    )
    expected = stage(x)
    assert close(stage.to(memory_format=torch.channels_last)(x), expected)


@torch.no_grad()
@pytest.mark.parametrize(
    ("kernel", "first", "aligned"), [(1, False, False), (3, True, True), (3, False, False)]
)
@pytest.mark.parametrize("size", [(12, 17), (6, 6), (7, 30)])
def test_the_convolution_of_pyramid_pooling(kernel, first, aligned, size):
    torch.manual_seed(3)
    stages = nn.ModuleList(nn.Sequential(nn.Conv2d(16, 8, 1), nn.ReLU()) for _ in range(4))
    conv = nn.Conv2d(16 + 4 * 8, 24, kernel, padding=kernel // 2)
    x = torch.randn(2, 16, *size)
    pooled = [
        resize(stage(F.adaptive_avg_pool2d(x, bins)), size, align_corners=aligned)
        for stage, bins in zip(stages, (1, 2, 3, 6), strict=True)
    ]
    expected = conv(torch.cat([x, *pooled] if first else [*pooled, x], 1))
    fast = PooledConv(stages, conv, first=first, align_corners=aligned)
    assert close(fast(x), expected)
    assert close(fast(x.contiguous(memory_format=torch.channels_last)), expected)
