"""DeepLabv3+ against its code's size, and its pyramid against a plain re-statement."""

import pytest
import torch
import torch.nn.functional as F

from vssbench.methods.dsrl.deeplabv3plus import AtrousPyramid, Decoder, DeepLabv3Plus


@pytest.mark.parametrize(("classes", "parameters"), [(19, 59_343_795), (21, 59_344_309)])
def test_size_of_the_published_network(classes, parameters):
    with torch.device("meta"):
        assert sum(p.numel() for p in DeepLabv3Plus(classes).parameters()) == parameters


def test_layer_4_keeps_the_stride_and_doubles_its_dilations():
    with torch.device("meta"):
        layer = DeepLabv3Plus(19).backbone.layer4
    assert [block.conv2.dilation for block in layer] == [(2, 2), (4, 4), (8, 8)]
    assert [block.conv2.stride for block in layer] == [(1, 1)] * 3


@pytest.mark.parametrize("size", [(64, 96), (45, 61)])
def test_logits_have_the_images_size(size):
    model = DeepLabv3Plus(5, width=0.125).eval()
    with torch.no_grad():
        logits, feature = model(torch.randn(1, 3, *size))
        _, (deep, low) = model.features(torch.randn(1, 3, *size))
    assert logits.shape == (1, 5, *size)
    assert feature.shape == (1, model.feature_channels, -(-size[0] // 4), -(-size[1] // 4))
    assert (deep.shape[1], low.shape[1]) == model.encoder_channels
    assert deep.shape[2:] == (-(-size[0] // 16), -(-size[1] // 16))
    assert low.shape[2:] == feature.shape[2:]


def test_atrous_pyramid():
    torch.manual_seed(0)
    block = AtrousPyramid(6, 4).eval()
    x = torch.randn(2, 6, 7, 9)
    with torch.no_grad():
        parts = [torch.relu(block.branches[0][1](F.conv2d(x, block.branches[0][0].weight)))]
        for branch, rate in zip(block.branches[1:], (6, 12, 18), strict=True):
            parts.append(
                torch.relu(branch[1](F.conv2d(x, branch[0].weight, padding=rate, dilation=rate)))
            )
        mean = torch.relu(
            block.average[1](F.conv2d(x.mean((2, 3))[:, :, None, None], block.average[0].weight))
        )
        parts.append(F.interpolate(mean, size=(7, 9), mode="bilinear", align_corners=True))
        expected = torch.relu(block.merge[1](F.conv2d(torch.cat(parts, 1), block.merge[0].weight)))
        assert torch.allclose(block(x), expected, atol=1e-5)


def test_decoder_takes_the_deep_feature_first():
    torch.manual_seed(0)
    block = Decoder(4, 6, 3, (5, 7)).eval()
    deep, low = torch.randn(1, 4, 2, 3), torch.randn(1, 6, 7, 9)
    with torch.no_grad():
        enlarged = F.interpolate(deep, (7, 9), mode="bilinear", align_corners=True)
        expected = block.second(block.first(torch.cat([enlarged, block.reduce(low)], 1)))
        assert torch.equal(block(deep, low), expected)
        assert expected.shape == (1, 7, 7, 9)
