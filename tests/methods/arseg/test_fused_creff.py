"""The fused forms of CReFF against a re-statement pixel by pixel and against the steps one by
one."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vssbench import native
from vssbench.methods.arseg.fused_creff import (
    Fusion,
    compiled_creff,
    fused_creff,
    strip_creff,
    tile_columns,
    whole_creff,
)

needs_compiler = pytest.mark.skipif(
    not native.available(), reason="no C compiler, or VSSBENCH_NATIVE=0"
)


def layers(channels: int, classes: int | None = 5) -> list[nn.Conv2d | None]:
    """Query, key, value and classifier, none of their biases zero."""
    depthwise = [nn.Conv2d(channels, channels, 3, padding=1, groups=channels) for _ in range(3)]
    return [*depthwise, nn.Conv2d(channels, classes, 1) if classes else None]


def pixel(low, reference, motion, query, key, value, window, scale, y, x):
    """The fused feature (C,) at one pixel in float64: AR-Seg, Eq. 3, with loops; zero outside
    everywhere."""
    height, width = reference.shape[-2:]
    low, reference, motion = (tensor[0].double() for tensor in (low, reference, motion))
    up = F.interpolate(low[None], size=(height, width), mode="bilinear", align_corners=True)[0]
    nothing = torch.zeros(len(low), dtype=torch.double)

    def inside(row, column):
        return 0 <= row < height and 0 <= column < width

    def warped(row, column):
        at_x, at_y = column + motion[0, row, column].item(), row + motion[1, row, column].item()
        left, top = math.floor(at_x), math.floor(at_y)
        total = nothing.clone()
        for i in (0, 1):
            for j in (0, 1):
                weight = (1 - abs(at_y - top - i)) * (1 - abs(at_x - left - j))
                if inside(top + i, left + j):
                    total += weight * reference[:, top + i, left + j]
        return total

    def convolved(source, layer, row, column):
        if not inside(row, column):
            return nothing
        total = layer.bias.double().clone()
        for i in range(3):
            for j in range(3):
                if inside(row + i - 1, column + j - 1):
                    total += layer.weight[:, 0, i, j].double() * source(row + i - 1, column + j - 1)
        return total

    q = convolved(lambda row, column: up[:, row, column], query, y, x)
    reach = range(-(window // 2), window // 2 + 1)
    around = [(y + i, x + j) for i in reach for j in reach]
    weights = torch.stack([scale * q @ convolved(warped, key, *place) for place in around]).softmax(
        0
    )
    found = sum(
        weight * convolved(warped, value, *place)
        for weight, place in zip(weights, around, strict=True)
    )
    return up[:, y, x] + found


@torch.no_grad()
@pytest.mark.parametrize("form", [fused_creff, whole_creff, strip_creff])
def test_pixel_by_pixel(form):
    torch.manual_seed(0)
    query, key, value, _ = layers(6)
    low, reference, motion = (
        torch.randn(1, 6, 4, 5),
        torch.randn(1, 6, 9, 11),
        2 * torch.randn(1, 2, 9, 11),
    )
    result = form(low, reference, motion, Fusion(query, key, value, None, 3, 0.7))
    for y, x in [(0, 0), (8, 10), (4, 5), (0, 6), (7, 1)]:
        expected = pixel(low, reference, motion, query, key, value, 3, 0.7, y, x)
        assert torch.allclose(result[0, :, y, x].double(), expected, atol=1e-5)


def close(found, expected, tolerance=1e-4):
    return (
        found.shape == expected.shape
        and (found - expected).abs().max() <= tolerance * expected.abs().max()
    )


SHAPES = [
    # N, C, (H, W), (h, w), window
    (1, 64, (40, 150), (20, 75), 7),
    (2, 16, (37, 53), (18, 26), 3),
    (1, 64, (21, 101), (10, 50), 11),
    (1, 256, (23, 30), (12, 15), 7),
    (1, 12, (33, 17), (33, 17), 5),
    (2, 8, (5, 6), (3, 4), 7),
    (1, 8, (1, 1), (1, 1), 11),
    (1, 8, (200, 9), (61, 3), 7),
]


@torch.no_grad()
@pytest.mark.parametrize("form", [pytest.param(fused_creff, marks=needs_compiler), strip_creff])
@pytest.mark.parametrize(("count", "channels", "size", "small", "window"), SHAPES)
@pytest.mark.parametrize("motion_kind", ["none", "whole", "subpixel", "far"])
def test_equals_the_steps_one_by_one(form, count, channels, size, small, window, motion_kind):
    torch.manual_seed(1)
    low, reference = torch.randn(count, channels, *small), torch.randn(count, channels, *size)
    noise = torch.randn(count, 2, *size)
    motion = {
        "none": None,
        "whole": (3 * noise).round(),
        "subpixel": 3 * noise,
        "far": 1e6 * noise,
    }[motion_kind]
    for classes in (None, 5):
        case = (
            low,
            reference,
            motion,
            Fusion(
                *layers(channels, classes), window, channels**-0.5, "exact", direct=classes is None
            ),
        )
        assert close(form(*case), whole_creff(*case))


@torch.no_grad()
@pytest.mark.parametrize("form", [pytest.param(fused_creff, marks=needs_compiler), strip_creff])
def test_the_papers_warp(form):
    torch.manual_seed(2)
    features = torch.randn(1, 16, 12, 20), torch.randn(1, 16, 24, 40), 3 * torch.randn(1, 2, 24, 40)
    case = (*features, Fusion(*layers(16), warp="paper"))
    assert close(form(*case), whole_creff(*case))


@needs_compiler
@torch.no_grad()
def test_bfloat16_features_are_summed_in_float32():
    torch.manual_seed(3)
    low, reference = torch.randn(1, 32, 10, 15).bfloat16(), torch.randn(1, 32, 20, 30).bfloat16()
    rest = (torch.randn(1, 2, 20, 30), Fusion(*layers(32), scale=0.2))
    assert close(
        fused_creff(low, reference, *rest), whole_creff(low.float(), reference.float(), *rest)
    )
    assert (
        fused_creff(low, reference, rest[0], replace(rest[1], classifier=None)).dtype
        == torch.bfloat16
    )


@needs_compiler
@torch.no_grad()
def test_features_in_any_order_of_memory():
    torch.manual_seed(4)
    low, reference = torch.randn(1, 16, 10, 15), torch.randn(1, 16, 20, 30)
    rest = (torch.randn(1, 2, 20, 30), Fusion(*layers(16)))
    last = [tensor.contiguous(memory_format=torch.channels_last) for tensor in (low, reference)]
    assert torch.equal(fused_creff(low, reference, *rest), fused_creff(*last, *rest))


@needs_compiler
@torch.no_grad()
def test_motion_that_is_not_a_number_reads_nothing_outside():
    case = (
        torch.randn(1, 8, 4, 5),
        torch.randn(1, 8, 8, 10),
        torch.full((1, 2, 8, 10), float("nan")),
        Fusion(*layers(8)),
    )
    assert fused_creff(*case).shape == (1, 5, 8, 10)


@torch.no_grad()
def test_convolutions_over_all_channels_take_the_steps_one_by_one():
    torch.manual_seed(5)
    dense = [nn.Conv2d(8, 8, 3, padding=1) for _ in range(3)]
    case = (
        torch.randn(1, 8, 4, 5),
        torch.randn(1, 8, 8, 10),
        torch.randn(1, 2, 8, 10),
        Fusion(*dense, window=3),
    )
    assert torch.equal(fused_creff(*case), whole_creff(*case))


def test_gradients_reach_every_input():
    query, key, value, classifier = layers(8)
    low, reference = (
        torch.randn(1, 8, 3, 4, requires_grad=True),
        torch.randn(1, 8, 6, 8, requires_grad=True),
    )
    fused_creff(
        low, reference, torch.zeros(1, 2, 6, 8), Fusion(query, key, value, classifier)
    ).sum().backward()
    for tensor in (low, reference, query.weight, classifier.weight):
        assert tensor.grad is not None


@needs_compiler
@torch.no_grad()
def test_no_tensor_of_full_resolution_but_the_result(monkeypatch):
    """The peak that the fused form saves: nothing of C x H x W is allocated by it."""
    low, reference = (
        x.contiguous(memory_format=torch.channels_last)
        for x in (torch.randn(1, 64, 30, 45), torch.randn(1, 64, 60, 90))
    )
    case = low, reference, None, Fusion(*layers(64))
    sizes = []
    monkeypatch.setattr(
        torch,
        "empty",
        lambda *shape, _empty=torch.empty, **options: (
            sizes.append(shape),
            _empty(*shape, **options),
        )[1],
    )
    expected = whole_creff(*case)
    assert close(compiled_creff(native.library(), *case), expected)
    assert ((1, 64, 60, 90),) not in sizes
    assert ((1, 5, 60, 90),) in sizes


@pytest.mark.parametrize(
    ("channels", "width", "window"),
    [(64, 960, 7), (64, 961, 11), (256, 120, 7), (512, 256, 7), (8, 3, 3)],
)
def test_tiles_cover_the_width_and_fit_the_cache(channels, width, window):
    columns = tile_columns(channels, width, window)
    assert columns % 16 == 0
    assert columns >= 16
    assert columns == 16 or 8 * channels * (window + 2) * (columns + window) < 1_000_000
