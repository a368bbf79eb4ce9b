"""The warp against a pixel-by-pixel loop, its gradients, and the identity at zero motion."""

import math

import pytest
import torch

from vssbench.nets.warp import resize_motion, warp


def slow_warp(feature: torch.Tensor, motion: torch.Tensor) -> torch.Tensor:
    """Bilinear sampling at p + motion[p], one value at a time; zero outside."""
    count, _channels, height, width = feature.shape
    out = torch.zeros_like(feature)
    for n in range(count):
        for y in range(height):
            for x in range(width):
                sx, sy = x + float(motion[n, 0, y, x]), y + float(motion[n, 1, y, x])
                x0, y0 = math.floor(sx), math.floor(sy)
                for yy, wy in ((y0, 1 - (sy - y0)), (y0 + 1, sy - y0)):
                    for xx, wx in ((x0, 1 - (sx - x0)), (x0 + 1, sx - x0)):
                        if 0 <= yy < height and 0 <= xx < width:
                            out[n, :, y, x] += wy * wx * feature[n, :, yy, xx]
    return out


def test_equals_a_loop_over_pixels():
    torch.manual_seed(0)
    feature, motion = torch.randn(2, 3, 7, 9), torch.randn(2, 2, 7, 9) * 4
    assert torch.allclose(warp(feature, motion), slow_warp(feature, motion), atol=1e-5)


@pytest.mark.parametrize("size", [(5, 7), (90, 120), (37, 1920)])
def test_zero_motion_is_the_identity_bit_for_bit(size):
    feature = torch.randn(1, 4, *size)
    assert torch.equal(warp(feature, torch.zeros(1, 2, *size)), feature)


def test_whole_pixel_motion_moves_without_a_trace():
    feature = torch.randn(1, 3, 10, 12)
    motion = torch.zeros(1, 2, 10, 12)
    motion[:, 0], motion[:, 1] = 3, -2
    moved = warp(feature, motion)
    assert torch.equal(moved[..., 2:, :-3], feature[..., :-2, 3:])
    assert moved[..., :2, :].abs().max() == 0  # from outside


def test_the_papers_warp_is_not_the_identity():
    feature = torch.randn(1, 4, 16, 16)
    assert (warp(feature, torch.zeros(1, 2, 16, 16), "paper") - feature).abs().mean() > 0.1


def test_gradients_of_feature_and_motion():
    torch.manual_seed(1)
    feature = torch.randn(1, 2, 5, 6, dtype=torch.double, requires_grad=True)
    # away from whole pixels, where bilinear interpolation has a kink
    motion = (
        torch.rand(1, 2, 5, 6) * 0.6 + 0.2 + torch.randint(-2, 3, (1, 2, 5, 6))
    ).requires_grad_()
    probe = torch.randn(1, 2, 5, 6, dtype=torch.double)
    (warp(feature, motion) * probe).sum().backward()
    step = 1e-3
    with torch.no_grad():
        for index in [(0, 0, 2, 3), (0, 1, 1, 1), (0, 0, 4, 5), (0, 1, 0, 0)]:
            nudge = torch.zeros_like(motion)
            nudge[index] = step
            high, low = (slow_warp(feature, motion + sign * nudge) * probe for sign in (1, -1))
            slope = float((high - low).sum()) / (2 * step)
            assert float(motion.grad[index]) == pytest.approx(slope, abs=2e-3)
            nudge = torch.zeros_like(feature)
            nudge[index] = 1.0  # linear in the feature
            change = float(
                ((slow_warp(feature + nudge, motion) - slow_warp(feature, motion)) * probe).sum()
            )
            assert float(feature.grad[index]) == pytest.approx(change, abs=1e-5)


def test_motion_is_scaled_to_the_feature_by_each_axis():
    motion = torch.zeros(1, 2, 48, 64)
    motion[:, 0], motion[:, 1] = 8.0, -4.0
    small = resize_motion(motion, (6, 16))
    assert torch.allclose(small[0, 0], torch.full((6, 16), 2.0))
    assert torch.allclose(small[0, 1], torch.full((6, 16), -0.5))
    assert torch.equal(resize_motion(motion, (48, 64)), motion)
