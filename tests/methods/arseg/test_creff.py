"""CReFF pixel by pixel, and the variants of AR-Seg's ablation, against loops."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vssbench.methods.arseg.creff import CReFF
from vssbench.nets.warp import warp


def make(channels=4, **options):
    torch.manual_seed(0)
    fusion = CReFF(channels, **options).eval()
    for parameter in fusion.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return fusion


def bilinear(image, y, x):
    """The value of (C, h, w) at a real position, by its four neighbours; inside the image."""
    height, width = image.shape[1:]
    top, left = min(int(y), height - 1), min(int(x), width - 1)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    fy, fx = y - top, x - left
    upper = image[:, top, left] * (1 - fx) + image[:, top, right] * fx
    lower = image[:, bottom, left] * (1 - fx) + image[:, bottom, right] * fx
    return upper * (1 - fy) + lower * fy


def upsampled(low, height, width):
    """Corners aligned: the first and the last pixels of both images coincide."""
    out = np.zeros((low.shape[0], height, width))
    for y in range(height):
        for x in range(width):
            position = y * (low.shape[1] - 1) / (height - 1), x * (low.shape[2] - 1) / (width - 1)
            out[:, y, x] = bilinear(low, *position)
    return out


def convolved(image, convolution):
    """A 3x3 convolution with zeros around the image, each group of channels by itself."""
    weight, bias = (
        value.detach().double().numpy() for value in (convolution.weight, convolution.bias)
    )
    outputs, inputs = weight.shape[:2]
    per_group = outputs // convolution.groups
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1)))
    out = np.zeros((outputs, *image.shape[1:]))
    for o in range(outputs):
        first = o // per_group * inputs
        for y in range(image.shape[1]):
            for x in range(image.shape[2]):
                out[o, y, x] = (
                    padded[first : first + inputs, y : y + 3, x : x + 3] * weight[o]
                ).sum() + bias[o]
    return out


def attended(query, key, value, window, scale):
    """Softmax over the window; a tap outside the image scores 0 and counts in the denominator."""
    channels, height, width = query.shape
    reach = window // 2
    out = np.zeros_like(value)
    for y in range(height):
        for x in range(width):
            scores, values = [], []
            for dy in range(-reach, reach + 1):
                for dx in range(-reach, reach + 1):
                    inside = 0 <= y + dy < height and 0 <= x + dx < width
                    scores.append(
                        scale * float(query[:, y, x] @ key[:, y + dy, x + dx]) if inside else 0.0
                    )
                    values.append(value[:, y + dy, x + dx] if inside else np.zeros(channels))
            weights = np.exp(np.array(scores) - max(scores))
            out[:, y, x] = (weights[:, None] * np.array(values)).sum(0) / weights.sum()
    return out


@pytest.mark.parametrize(
    "options",
    [{}, {"window": 3}, {"window": 11}, {"grouped": False}, {"direct": False}, {"scaled": True}],
    ids=["published", "3x3", "11x11", "not grouped", "no direct connection", "scaled"],
)
def test_pixel_by_pixel(options):
    fusion = make(**options)
    low, reference = torch.randn(1, 4, 5, 6), torch.randn(1, 4, 9, 11)
    small, large = low[0].double().numpy(), reference[0].double().numpy()
    raised = upsampled(small, 9, 11)
    query, key, value = (
        convolved(raised, fusion.query),
        convolved(large, fusion.key),
        convolved(large, fusion.value),
    )
    scale = 1 / math.sqrt(4) if options.get("scaled") else 1.0
    expected = attended(query, key, value, options.get("window", 7), scale)
    if options.get("direct", True):
        expected = expected + raised
    with torch.no_grad():
        found = fusion(low, reference)[0].double().numpy()
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


def test_convolution_alone():
    """F_Conv: one 3x3 convolution of both features side by side."""
    fusion = make(kind="conv")
    low, reference = torch.randn(1, 4, 9, 11), torch.randn(1, 4, 9, 11)
    with torch.no_grad():
        expected = F.conv2d(
            torch.cat([low, reference], 1), fusion.mix.weight, fusion.mix.bias, padding=1
        )
        assert torch.allclose(fusion(low, reference), expected, atol=1e-5)


def test_global_attention_by_torchs_own():
    """F_GA: every pixel attends to a grid at 1/32, by torch's multi-head attention of one head;
    keys behind the values."""
    fusion = make(kind="global")
    low, reference = torch.randn(1, 4, 64, 96), torch.randn(1, 4, 64, 96)
    attention = torch.nn.MultiheadAttention(4, 1, batch_first=True).eval()
    with torch.no_grad():
        layers = [fusion.project[name] for name in ("query", "key", "value")]
        attention.in_proj_weight.copy_(torch.cat([layer.weight for layer in layers]))
        attention.in_proj_bias.copy_(torch.cat([layer.bias for layer in layers]))
        attention.out_proj.load_state_dict(fusion.project["out"].state_dict())
        values = fusion.value(reference)
        grids = [
            F.interpolate(x, (2, 3), mode="bilinear", align_corners=True)
            for x in (fusion.key(values), values)
        ]
        query, key, value = (x.flatten(2).transpose(1, 2) for x in (fusion.query(low), *grids))
        found, _ = attention(query, key, value)
        expected = low + found.transpose(1, 2).view(1, 4, 64, 96)
        assert torch.allclose(fusion(low, reference), expected, atol=1e-4)


def test_thirty_parameters_a_channel():
    assert sum(p.numel() for p in make(64).parameters()) == 1920


@pytest.mark.parametrize("mode", ["exact", "paper"])
def test_warp_by_hand(mode):
    """Each pixel from its four neighbours, zero outside; ``paper``: positions scaled by W/(W-1)
    about the centre."""
    torch.manual_seed(1)
    feature, motion = torch.randn(1, 3, 6, 7), torch.randn(1, 2, 6, 7) * 2
    expected = np.zeros((3, 6, 7))
    padded = np.pad(feature[0].double().numpy(), ((0, 0), (20, 20), (20, 20)))
    for y in range(6):
        for x in range(7):
            position = [y + float(motion[0, 1, y, x]), x + float(motion[0, 0, y, x])]
            if mode == "paper":  # normalised by W-1, sampled by W with half-pixel centres
                position = [p * n / (n - 1) - 0.5 for p, n in zip(position, (6, 7), strict=True)]
            expected[:, y, x] = bilinear(padded, position[0] + 20, position[1] + 20)
    assert np.abs(warp(feature, motion, mode)[0].numpy() - expected).max() < 1e-5
