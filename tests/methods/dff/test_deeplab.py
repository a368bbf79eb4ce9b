"""DeepLab in DFF's form: stride 16, the dilations, the 1024 channels, the logits."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from vssbench.methods.dff.deeplab import DeepLab


@pytest.mark.parametrize("layers", [18, 50, 101])
def test_conv5_keeps_its_stride_and_is_dilated(layers):
    with torch.device("meta"):
        network = DeepLab(19, layers)
    for name, module in network.backbone.named_modules():
        if isinstance(module, torch.nn.Conv2d) and module.kernel_size == (3, 3):
            inside = name.startswith("layer4")
            assert module.dilation == ((2, 2) if inside else (1, 1)), name
            assert not inside or module.stride == (1, 1)
    assert network.reduce.dilation == (6, 6)
    assert network.reduce.out_channels == network.final.in_channels == 1024


def test_counts():
    """ResNet-101 without its classifier (42,500,160), a 3x3 convolution 2048 -> 1024 and a 1x1 to
    19 classes."""
    with torch.device("meta"):
        network = DeepLab(19, 101).eval()
        image = torch.empty(1, 3, 1024, 2048)
    assert (
        sum(p.numel() for p in network.parameters())
        == 42_500_160 + 2048 * 1024 * 9 + 1024 + 1024 * 19 + 19
    )
    with torch.no_grad(), FlopCounterMode(display=False) as both:
        network(image)
    with torch.no_grad(), FlopCounterMode(display=False) as backbone:
        network.backbone(image)
    own = (both.get_total_flops() - backbone.get_total_flops()) / 2
    assert own == 64 * 128 * (2048 * 1024 * 9 + 1024 * 19)


@pytest.mark.parametrize("size", [(64, 96), (75, 101)])
def test_feature_and_logits(size):
    torch.manual_seed(0)
    network = DeepLab(5, 50, 0.125).eval()
    with torch.no_grad():
        logits, feature = network(torch.randn(2, 3, *size))
        low = torch.einsum(
            "oc,nchw->nohw", network.final.weight[:, :, 0, 0], feature
        ) + network.final.bias.view(1, -1, 1, 1)
    assert feature.shape == (
        2,
        network.feature_channels,
        math.ceil(size[0] / 16),
        math.ceil(size[1] / 16),
    )
    assert feature.min() >= 0
    assert logits.shape == (2, 5, *size)
    assert torch.allclose(logits, F.interpolate(low, size, mode="bilinear"), atol=1e-5)
