"""ESPNetv2 against its published size and cost, and its blocks against loops."""

import math
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from vssbench.methods.dsrl.espnetv2 import (
    DILATIONS,
    EESP,
    DownSampler,
    Encoder,
    ESPNetv2,
    Lateral,
    PyramidPooling,
)


def test_size_and_cost_of_the_published_network():
    """0.79 M parameters; 674.78 and 2,700 M with the code's half an operation for each output value
    of the last layer."""
    with torch.device("meta"):
        model = ESPNetv2(20).eval()
    # activations of the three downsampling blocks that the published code makes and never uses
    unreached = 96 + 128 + 256
    assert sum(p.numel() for p in model.parameters()) == 789_242 - unreached
    for height, width, published, digits in ((256, 512, 674.78, 2), (512, 1024, 2700, -2)):
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(torch.empty(1, 3, height, width, device="meta"))
        bias = 20 * (height // 2) * (width // 2) / 2
        assert round((counter.get_total_flops() / 2 + bias) / 1e6, digits) == published


@pytest.mark.parametrize("width", [0.05, 0.125, 0.25, 0.5, 0.75, 1, 1.5])
def test_channels_of_any_width_divide_into_branches_and_groups(width):
    with torch.device("meta"):
        channels = Encoder(width).channels
    assert all(b > a and (b - a) % 16 == 0 and b % 16 == 0 for a, b in pairwise(channels))
    if width == 1:
        assert channels == (32, 128, 256, 512)


@pytest.mark.parametrize("size", [(64, 96), (45, 61), (33, 17)])
def test_logits_have_the_images_size(size):
    model = ESPNetv2(5, width=0.125).eval()
    with torch.no_grad():
        logits, feature = model(torch.randn(1, 3, *size))
    assert logits.shape == (1, 5, *size)
    assert feature.shape == (1, 2, math.ceil(size[0] / 2), math.ceil(size[1] / 2))


@pytest.mark.parametrize("stride", [1, 2])
def test_eesp_by_channels(stride):
    """Reduce in four groups, one dilated filter a channel, sums over smaller dilations, four groups
    that merge."""
    torch.manual_seed(0)
    block = EESP(16, 32, stride, DILATIONS).eval()
    x = torch.randn(1, 16, 11, 9)
    with torch.no_grad():
        reduce, norm, act = block.reduce
        rows = [
            F.conv2d(x[:, 4 * (c // 2) : 4 * (c // 2) + 4], reduce.weight[c : c + 1])
            for c in range(8)
        ]
        reduced = act(norm(torch.cat(rows, 1)))
        running, pyramid = torch.zeros(()), []
        for dilation, branch in zip((1, 2, 3, 4), block.branches, strict=True):
            running = running + torch.cat(
                [dilated(reduced[0, c], branch.weight[c, 0], dilation, stride) for c in range(8)], 1
            )
            pyramid.append(running)
        activated = block.activate(torch.cat(pyramid, 1))
        merge, norm = block.merge
        columns = [
            F.conv2d(activated[:, 8 * g : 8 * g + 8], merge.weight[8 * g : 8 * g + 8])
            for g in range(4)
        ]
        assert torch.allclose(block(x), norm(torch.cat(columns, 1)), atol=1e-5)


def dilated(plane: torch.Tensor, weight: torch.Tensor, dilation: int, stride: int) -> torch.Tensor:
    """A 3x3 filter over one plane, pixel by pixel, zeros outside: (1, 1, h, w)."""
    height, width = plane.shape
    result = torch.zeros(1, 1, math.ceil(height / stride), math.ceil(width / stride))
    for y in range(result.shape[2]):
        for x in range(result.shape[3]):
            for j in range(3):
                for i in range(3):
                    v, u = stride * y + (j - 1) * dilation, stride * x + (i - 1) * dilation
                    if 0 <= v < height and 0 <= u < width:
                        result[0, 0, y, x] += weight[j, i] * plane[v, u]
    return result


def test_downsampler_adds_the_image_to_pooled_and_pyramid_channels():
    torch.manual_seed(0)
    block = DownSampler(16, 32).eval()
    x, image = torch.randn(1, 16, 9, 12), torch.randn(1, 3, 5, 6)
    with torch.no_grad():
        pooled = F.avg_pool2d(F.pad(x, (1, 1, 1, 1)), 3, 2)
        expected = block.act(torch.cat([pooled, block.eesp(x)], 1) + block.reinforce(image))
        assert torch.allclose(block(x, image), expected, atol=1e-6)


def test_pyramid_by_scales():
    """Small features are scaled to 5 pixels a side at least; the merge mixes the five scales of
    each channel."""
    torch.manual_seed(0)
    block = PyramidPooling(6, 4).eval()
    x = torch.randn(2, 6, 12, 7)
    with torch.no_grad():
        projected = block.project(x)
        scaled = [
            F.adaptive_avg_pool2d(
                block.stages[0](
                    F.interpolate(projected, (24, 14), mode="bilinear", align_corners=True)
                ),
                (12, 7),
            ),
            F.adaptive_avg_pool2d(
                block.stages[1](
                    F.interpolate(projected, (18, 11), mode="bilinear", align_corners=True)
                ),
                (12, 7),
            ),
            block.stages[2](projected),
            F.interpolate(
                block.stages[3](F.adaptive_avg_pool2d(projected, (6, 5))),
                (12, 7),
                mode="bilinear",
                align_corners=True,
            ),
            F.interpolate(
                block.stages[4](F.adaptive_avg_pool2d(projected, (5, 5))),
                (12, 7),
                mode="bilinear",
                align_corners=True,
            ),
        ]
        pyramid = block.activate(torch.cat(scaled, 1))
        weight = block.merge[0].weight
        merged = [
            F.conv2d(
                torch.cat([pyramid[:, 4 * s + c : 4 * s + c + 1] for s in range(5)], 1),
                weight[c : c + 1],
                padding=1,
            )
            for c in range(4)
        ]
        assert torch.allclose(block(x), block.merge[1:](torch.cat(merged, 1)), atol=1e-5)


def test_lateral_gates_by_the_global_mean():
    torch.manual_seed(0)
    block = Lateral(12, 8).eval()
    x = torch.randn(2, 12, 5, 6)
    with torch.no_grad():
        gate = torch.sigmoid(x.mean((2, 3)) @ block.gate.weight[:, :, 0, 0].T)
        assert block.conv[0].groups == 4
        assert torch.allclose(block(x), block.conv(x) * gate[:, :, None, None], atol=1e-6)
