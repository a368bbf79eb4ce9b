"""DSRL's parts: the feature affinity loss against loops over pairs of pixels, sizes of SSSR and
SISR."""

import math

import pytest
import torch

from vssbench.methods.dsrl import network as dsrl
from vssbench.methods.dsrl.network import (
    BilinearUpsampling,
    DecodedImage,
    ImageDecoder,
    SemanticUpsampling,
    feature_affinity,
)


def cosine(feature: torch.Tensor, i: tuple[int, int], j: tuple[int, int]) -> float:
    """Return the cosine of the vectors of two pixels of (C, h, w)."""
    a, b = feature[:, i[0], i[1]].tolist(), feature[:, j[0], j[1]].tolist()
    norms = math.sqrt(sum(v * v for v in a)) * math.sqrt(sum(v * v for v in b))
    return sum(v * w for v, w in zip(a, b, strict=True)) / norms


def pooled_by_hand(feature: torch.Tensor, side: int) -> torch.Tensor:
    """Means over squares, those of the last row and column over what there is."""
    channels, height, width = feature.shape
    rows, columns = math.ceil(height / side), math.ceil(width / side)
    result = torch.zeros(channels, rows, columns, dtype=torch.float64)
    for y in range(rows):
        for x in range(columns):
            result[:, y, x] = (
                feature[:, side * y : side * y + side, side * x : side * x + side]
                .double()
                .mean((1, 2))
            )
    return result


def affinity_by_pairs(semantic: torch.Tensor, structural: torch.Tensor, side: int) -> float:
    total = 0.0
    for one, other in zip(semantic, structural, strict=True):
        one, other = pooled_by_hand(one, side), pooled_by_hand(other, side)
        pixels = [(y, x) for y in range(one.shape[1]) for x in range(one.shape[2])]
        distances = sum(
            abs(cosine(one, i, j) - cosine(other, i, j)) for i in pixels for j in pixels
        )
        total += distances / len(pixels) ** 2
    return total / len(semantic)


@pytest.mark.parametrize(("size", "side"), [((16, 24), 8), ((13, 21), 8), ((5, 4), 1), ((7, 9), 4)])
@pytest.mark.parametrize("block", [2**25, 7])
def test_affinity_by_pairs_of_pixels(size, side, block, monkeypatch):
    """Also where the matrices are worked through row by row, and with features of different
    depth."""
    monkeypatch.setattr(dsrl, "BLOCK", block)
    generator = torch.Generator().manual_seed(3)
    semantic, structural = (
        torch.randn(2, 5, *size, generator=generator),
        torch.rand(2, 3, *size, generator=generator) * 9,
    )
    expected = affinity_by_pairs(semantic, structural, side)
    assert float(feature_affinity(semantic, structural, side)) == pytest.approx(expected, rel=1e-5)


def test_affinity_is_blind_to_length_and_zero_for_equals():
    feature = torch.rand(2, 4, 16, 16) + 0.1
    assert float(feature_affinity(feature, feature * 7.5)) == pytest.approx(0, abs=1e-6)
    assert float(feature_affinity(feature, feature.flip(3))) > 1e-3


def test_affinity_of_a_batch_is_the_mean_of_its_images():
    a, b = torch.randn(3, 4, 24, 16), torch.randn(3, 2, 24, 16)
    single = [float(feature_affinity(a[n : n + 1], b[n : n + 1])) for n in range(3)]
    assert float(feature_affinity(a, b)) == pytest.approx(sum(single) / 3, rel=1e-5)


def test_affinity_has_the_gradient_of_its_definition(monkeypatch):
    """Computed again block by block in the backward pass, it agrees with the whole matrices at
    once."""
    torch.manual_seed(0)
    features = [torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    unit = [f / f.norm(dim=1, keepdim=True) for f in features]
    matrices = [torch.einsum("nchw,ncij->nhwij", u, u) for u in unit]
    expected = torch.autograd.grad((matrices[0] - matrices[1]).abs().mean(), features)
    monkeypatch.setattr(dsrl, "BLOCK", 50)
    found = torch.autograd.grad(feature_affinity(*features, subsample=1), features)
    for ours, whole in zip(found, expected, strict=True):
        assert torch.allclose(ours, whole, atol=1e-7)


@pytest.mark.parametrize("stride", [2, 4, 8, 16])
@pytest.mark.parametrize("size", [(32, 48), (29, 37)])
def test_sssr_and_sisr_give_twice_the_input(stride, size):
    low = tuple(math.ceil(s / stride) for s in size)
    with torch.no_grad():
        scores = SemanticUpsampling(5, stride).eval()(torch.randn(1, 5, *low), size)
        feature, image = ImageDecoder((24,), stride, 0.125).eval()((torch.randn(1, 24, *low),))
    assert scores.shape == (1, 5, 2 * size[0], 2 * size[1])
    assert feature.shape[2:] == image.shape[2:] == (2 * stride * low[0], 2 * stride * low[1])
    assert image.shape[1] == 3


def test_dootmaans_form_resizes_twice_and_compares_images():
    scores = torch.randn(1, 5, 4, 6)
    assert BilinearUpsampling()(scores, (15, 21)).shape == (1, 5, 30, 42)
    with torch.device("meta"):
        decoder = DecodedImage((256, 256), 1.0)
        feature, image = decoder((torch.empty(1, 256, 23, 30), torch.empty(1, 256, 90, 120)))
    assert feature is image
    assert image.shape == (1, 3, 720, 960)
    transform = 19 * 3 + 3 + 6
    assert sum(p.numel() for p in decoder.parameters()) + transform == 1_145_957
