"""Parameter counts of the originals, output shapes, the losses."""

import math

import pytest
import torch
import torch.nn.functional as F

from vssbench.nets.bisenet import BiSeNet18
from vssbench.nets.losses import cross_entropy, ohem_cross_entropy, presence_loss
from vssbench.nets.pspnet import UpsamplingPSPNet


@pytest.mark.parametrize(
    ("network", "classes", "parameters"),
    [(UpsamplingPSPNet, 12, 17_461_979), (BiSeNet18, 12, 13_423_012), (BiSeNet18, 19, 13_425_721)],
)
def test_parameters_equal_the_authors(network, classes, parameters):
    with torch.device("meta"):
        assert sum(p.numel() for p in network(classes).parameters()) == parameters


@pytest.mark.parametrize("network", [UpsamplingPSPNet, BiSeNet18])
@pytest.mark.parametrize("size", [(64, 96), (45, 61)])
def test_logits_have_the_images_size(network, size):
    model = network(5, width=0.125).eval()
    with torch.no_grad():
        logits, feature = model(torch.randn(1, 3, *size))
    assert logits.shape == (1, 5, *size)
    assert feature.shape[1] == model.feature_channels


def test_cross_entropy_ignores_and_weights():
    logits, label = torch.randn(2, 4, 3, 3), torch.randint(0, 4, (2, 3, 3))
    label[0, 0, 0] = 255
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0])
    expected = F.cross_entropy(logits, label, weights, ignore_index=255)
    assert float(cross_entropy(logits, label, weights)) == pytest.approx(float(expected), rel=1e-6)
    assert float(cross_entropy(logits, torch.full_like(label, 255), weights)) == 0


def test_ohem_keeps_the_hard_pixels():
    torch.manual_seed(0)
    logits, label = torch.randn(1, 3, 8, 8) * 3, torch.randint(0, 3, (1, 8, 8))
    each = F.cross_entropy(logits, label, reduction="none").flatten()
    hard = each[each >= -math.log(0.7)]
    assert float(ohem_cross_entropy(logits, label)) == pytest.approx(float(hard.mean()), rel=1e-5)
    # nothing under the threshold: the hardest sixteenth remains
    sure = F.one_hot(label, 3).permute(0, 3, 1, 2) * 20.0 + torch.rand(1, 3, 8, 8)
    hardest = F.cross_entropy(sure, label, reduction="none").flatten().topk(4).values
    assert float(ohem_cross_entropy(sure, label)) == pytest.approx(float(hardest.mean()), rel=1e-5)


def test_presence_is_whether_a_class_occurs():
    label = torch.tensor([[[0, 0], [2, 255]]])
    logits = torch.tensor([[3.0, -1.0, 0.5]])
    expected = F.binary_cross_entropy_with_logits(logits, torch.tensor([[1.0, 0.0, 1.0]]))
    assert float(presence_loss(logits, label)) == pytest.approx(float(expected))
