"""Local attention against 49 shifts of the whole feature, forward and backward, and against a loop
over pixels."""

import pytest
import torch
import torch.nn.functional as F

from vssbench.methods.arseg.creff import CReFF
from vssbench.methods.arseg.local_attention import local_attention


def shifted_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, window: int
) -> torch.Tensor:
    """The obvious form: one product of the whole feature a tap, zeros outside kept in the
    softmax."""
    radius = window // 2
    height, width = query.shape[-2:]
    keys, values = F.pad(key, (radius,) * 4), F.pad(value, (radius,) * 4)
    taps = [(i, j) for i in range(window) for j in range(window)]
    scores = torch.stack(
        [(query * keys[..., i : i + height, j : j + width]).sum(1) for i, j in taps], 1
    )
    weights = scores.softmax(1)
    return sum(
        weights[:, [n]] * values[..., i : i + height, j : j + width]
        for n, (i, j) in enumerate(taps)
    )


@pytest.mark.parametrize(
    ("shape", "window"),
    [((2, 8, 13, 37), 7), ((1, 16, 5, 6), 7), ((1, 8, 20, 32), 3), ((1, 8, 9, 17), 11)],
)
def test_equals_shifts_forward_and_backward(shape, window):
    torch.manual_seed(0)
    ours = [torch.randn(shape, requires_grad=True) for _ in range(3)]
    theirs = [tensor.detach().double().requires_grad_() for tensor in ours]
    probe = torch.randn(shape)
    result, expected = local_attention(*ours, window), shifted_attention(*theirs, window)
    assert torch.allclose(result.double(), expected, atol=1e-5)
    result.backward(probe)
    expected.backward(probe.double())
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.allclose(mine.grad.double(), other.grad, atol=1e-4)


def test_creff_pixel_by_pixel():
    """CReFF of AR-Seg re-stated with loops: depthwise convolutions, scores, softmax, weighted sum,
    residual."""
    torch.manual_seed(1)
    fusion = CReFF(8, window=3).double()
    low, reference = (
        torch.randn(1, 8, 3, 4, dtype=torch.double),
        torch.randn(1, 8, 6, 7, dtype=torch.double),
    )
    with torch.no_grad():
        result = fusion(low, reference)
        upsampled = F.interpolate(low, size=(6, 7), mode="bilinear", align_corners=True)

        def depthwise(x, convolution, channel, y, column):
            total = convolution.bias[channel].clone()
            for i in range(3):
                for j in range(3):
                    if 0 <= y + i - 1 < 6 and 0 <= column + j - 1 < 7:
                        total += (
                            convolution.weight[channel, 0, i, j]
                            * x[0, channel, y + i - 1, column + j - 1]
                        )
            return total

        def vector(x, convolution, y, column):
            if not (0 <= y < 6 and 0 <= column < 7):
                return torch.zeros(8, dtype=torch.double)
            return torch.stack(
                [depthwise(x, convolution, channel, y, column) for channel in range(8)]
            )

        for y, x in [(0, 0), (2, 3), (5, 6)]:
            query = vector(upsampled, fusion.query, y, x)
            around = [(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
            scores = torch.stack(
                [query @ vector(reference, fusion.key, *place) for place in around]
            )
            weights = scores.softmax(0)
            mixed = sum(
                weight * vector(reference, fusion.value, *place)
                for weight, place in zip(weights, around, strict=True)
            )
            assert torch.allclose(result[0, :, y, x], upsampled[0, :, y, x] + mixed, atol=1e-6)


def test_parameters_of_creff_are_thirty_a_channel():
    assert sum(p.numel() for p in CReFF(64).parameters()) == 1920
