"""ICNet's units against slow re-statements."""

import math

import pytest
import torch
import torch.nn.functional as F

from tests.methods.icnet.cases import PUBLISHED_WINDOWS, settled
from vssbench.methods.icnet.units import (
    CascadeFeatureFusion,
    ConcatenatedPyramid,
    DeconvolutionFusion,
    nearest_labels,
    overlapping_pool,
    summed_pyramid,
)


def bilinear_by_hand(x, size, align_corners):
    """Every output pixel from its four neighbours."""
    channels, height, width = x.shape
    out = torch.zeros(channels, *size)
    for i in range(size[0]):
        for j in range(size[1]):
            place = []
            for index, length, count in ((i, height, size[0]), (j, width, size[1])):
                if align_corners:
                    at = index * (length - 1) / (count - 1) if count > 1 else 0.0
                else:
                    at = max((index + 0.5) * length / count - 0.5, 0.0)
                first = min(int(at), length - 1)
                place.append((first, min(first + 1, length - 1), at - first))
            (top, bottom, y), (left, right, z) = place
            upper = (1 - z) * x[:, top, left] + z * x[:, top, right]
            lower = (1 - z) * x[:, bottom, left] + z * x[:, bottom, right]
            out[:, i, j] = (1 - y) * upper + y * lower
    return out


def convolution_by_hand(x, weight, dilation=1):
    """Zero-padded so as to keep the size."""
    outputs, _, kernel, _ = weight.shape
    _, height, width = x.shape
    half = kernel // 2
    out = torch.zeros(outputs, height, width)
    for i in range(height):
        for j in range(width):
            for u in range(kernel):
                for v in range(kernel):
                    y, z = i + (u - half) * dilation, j + (v - half) * dilation
                    if 0 <= y < height and 0 <= z < width:
                        out[:, i, j] += weight[:, :, u, v] @ x[:, y, z]
    return out


def normalised_by_hand(x, norm):
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return (x - norm.running_mean[:, None, None]) * scale[:, None, None] + norm.bias[:, None, None]


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("rectified", [True, False])
@pytest.mark.parametrize("guide_projected", [True, False])
def test_cascade_feature_fusion(align_corners, rectified, guide_projected):
    unit = settled(
        CascadeFeatureFusion(
            3,
            2,
            4,
            align_corners=align_corners,
            rectified=rectified,
            guide_projected=guide_projected,
        )
    )
    coarse, fine = torch.randn(3, 3, 4), torch.randn(2, 5, 8)
    enlarged = bilinear_by_hand(coarse, (5, 8), align_corners)
    low = normalised_by_hand(
        convolution_by_hand(enlarged, unit.coarse[0].weight, dilation=2), unit.coarse[1]
    )
    high = normalised_by_hand(convolution_by_hand(fine, unit.fine[0].weight), unit.fine[1])
    if rectified:
        low, high = low.clamp(min=0), high.clamp(min=0)
    with torch.no_grad():
        fused, guide = unit(coarse[None], fine[None])
    assert torch.allclose(fused[0], (low + high).clamp(min=0), atol=1e-5)
    assert torch.allclose(guide[0], low if guide_projected else enlarged, atol=1e-5)
    assert guide.shape[1] == unit.guidance_channels


@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_deconvolution_fusion(kernel):
    unit = settled(DeconvolutionFusion(3, 2, 4, kernel))
    coarse, fine = torch.randn(3, 3, 4), torch.randn(2, 5, 7)
    weight, half = unit.coarse[0].weight, kernel // 2
    spread = torch.zeros(4, 5, 7)
    for i in range(3):
        for j in range(4):
            for u in range(kernel):
                for v in range(kernel):
                    y, z = 2 * i + u - half, 2 * j + v - half
                    if 0 <= y < 5 and 0 <= z < 7:
                        spread[:, y, z] += coarse[:, i, j] @ weight[:, :, u, v]
    low = normalised_by_hand(spread, unit.coarse[1])
    high = normalised_by_hand(convolution_by_hand(fine, unit.fine[0].weight), unit.fine[1])
    with torch.no_grad():
        fused, guide = unit(coarse[None], fine[None])
    assert torch.allclose(fused[0], (low + high).clamp(min=0), atol=1e-5)
    assert torch.allclose(guide[0], low, atol=1e-5)


def test_the_pyramid_is_the_sum_of_the_input_and_its_pooled_maps():
    x = torch.randn(2, 7, 9)
    expected = x.clone()
    for bins in (1, 2, 3, 6):
        pooled = torch.zeros(2, bins, bins)
        for i in range(bins):
            for j in range(bins):
                rows = slice(i * 7 // bins, math.ceil((i + 1) * 7 / bins))
                columns = slice(j * 9 // bins, math.ceil((j + 1) * 9 / bins))
                pooled[:, i, j] = x[:, rows, columns].mean((1, 2))
        expected += bilinear_by_hand(pooled, (7, 9), align_corners=True)
    assert torch.allclose(summed_pyramid(x[None])[0], expected, atol=1e-5)


@pytest.mark.parametrize("bins", [1, 2, 3, 6])
def test_overlapping_windows_are_the_published_ones(bins):
    x = torch.randn(2, 33, 65)
    (tall, wide), (down, across) = PUBLISHED_WINDOWS[bins]
    pooled = overlapping_pool(x[None], bins)[0]
    assert pooled.shape == (2, bins, bins)
    for i in range(bins):
        for j in range(bins):
            window = x[:, i * down : i * down + tall, j * across : j * across + wide]
            assert window.shape[1:] == (tall, wide)
            assert torch.allclose(pooled[:, i, j], window.mean((1, 2)), atol=1e-5)


@pytest.mark.parametrize("size", [(7, 7), (8, 11), (12, 30), (3, 40), (1, 1)])
def test_overlapping_windows_cover_every_map(size):
    for bins in (1, 2, 3, 6):
        x = torch.zeros(1, 1, *size, requires_grad=True)
        pooled = overlapping_pool(x, bins)
        assert pooled.shape[2:] == (bins, bins)
        pooled.sum().backward()
        assert (x.grad > 0).all()


def test_concatenated_pyramid_puts_the_input_last():
    unit = settled(ConcatenatedPyramid(3, 2))
    x = torch.randn(3, 4, 5)
    maps = []
    for bins, stage in zip((1, 2, 3, 6), unit.stages, strict=True):
        pooled = F.adaptive_avg_pool2d(x, bins)
        maps.append(
            normalised_by_hand(convolution_by_hand(pooled, stage[0].weight), stage[1]).clamp(min=0)
        )
    joined = torch.cat([*(bilinear_by_hand(m, (4, 5), align_corners=False) for m in maps), x])
    expected = normalised_by_hand(
        convolution_by_hand(joined, unit.bottleneck[0].weight), unit.bottleneck[1]
    ).clamp(min=0)
    with torch.no_grad():
        assert torch.allclose(unit(x[None])[0], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("size", "small"), [((9, 13), (3, 4)), ((17, 33), (5, 9)), ((6, 8), (6, 8)), ((5, 7), (1, 2))]
)
def test_labels_shrink_to_the_nearest_pixel(size, small):
    label = torch.randint(0, 255, (2, *size))
    found = nearest_labels(label, small)
    assert found.shape == (2, *small)
    for i in range(small[0]):
        for j in range(small[1]):
            y = i * (size[0] - 1) / (small[0] - 1) if small[0] > 1 else 0
            x = j * (size[1] - 1) / (small[1] - 1)
            row, column = math.floor(y + 0.5), math.floor(x + 0.5)
            assert torch.equal(found[:, i, j], label[:, row, column])


def test_labels_at_a_quarter_of_4n_plus_1_pixels_are_every_fourth():
    label = torch.randint(0, 19, (1, 33, 65))
    assert torch.equal(nearest_labels(label, (9, 17)), label[:, ::4, ::4])
