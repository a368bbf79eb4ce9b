"""Xception39: the paper's cost, its shapes, and a block by loops."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from vssbench.nets.xception39 import Block, Xception39


def test_cost_is_the_papers():
    """Table 1 at 640x360: 185.5 M multiplications, and 1.2 M of parameters, which are MiB of
    float32 values with statistics."""
    with torch.device("meta"):
        network, image = Xception39().eval(), torch.empty(1, 3, 360, 640)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(image)
    assert counter.get_total_flops() / 2 == pytest.approx(185.5e6, rel=0.01)
    assert sum(p.numel() for p in network.parameters()) == 299_448
    values = [
        tensor
        for name, tensor in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    ]
    assert round(sum(tensor.numel() for tensor in values) * 4 / 2**20, 1) == 1.2


@pytest.mark.parametrize(("height", "width"), [(64, 96), (75, 101)])
def test_strides_round_up(height, width):
    network = Xception39(0.5).eval()
    with torch.no_grad():
        features = network(torch.rand(1, 3, height, width))
    for feature, stride, channels in zip(features, (8, 16, 32), network.channels, strict=True):
        assert feature.shape == (1, channels, -(-height // stride), -(-width // stride))


def separable(x, layers, stride):
    """Depthwise 3x3 with zero padding 1, pointwise, batch normalisation, pixel by pixel."""
    depthwise, pointwise, norm = layers[0].weight, layers[1].weight, layers[2]
    channels, height, width = x.shape
    rows, columns = -(-height // stride), -(-width // stride)
    moved = torch.zeros(channels, rows, columns)
    for c in range(channels):
        for y in range(rows):
            for z in range(columns):
                for i in range(3):
                    for j in range(3):
                        row, column = y * stride + i - 1, z * stride + j - 1
                        if 0 <= row < height and 0 <= column < width:
                            moved[c, y, z] += depthwise[c, 0, i, j] * x[c, row, column]
    mixed = torch.einsum("oc,cyx->oyx", pointwise[:, :, 0, 0], moved)
    shape = (-1, 1, 1)
    scaled = (mixed - norm.running_mean.view(shape)) / (norm.running_var.view(shape) + 1e-5).sqrt()
    return scaled * norm.weight.view(shape) + norm.bias.view(shape)


@pytest.mark.parametrize(("inputs", "stride"), [(5, 2), (8, 1)])
def test_block_by_loops(inputs, stride):
    torch.manual_seed(0)
    block = Block(inputs, 2, stride).eval()
    for layer in block.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(layer.running_mean)
            torch.nn.init.uniform_(layer.running_var, 0.5, 2)
            torch.nn.init.normal_(layer.bias)
    image = torch.randn(1, inputs, 5, 7)
    with torch.no_grad():
        x = separable(image[0], block.residual[0], stride).clamp(min=0)
        x = separable(x, block.residual[1], 1).clamp(min=0)
        x = separable(x, block.residual[2], 1)
        shortcut = separable(image[0], block.shortcut, stride) if stride == 2 else image[0]
        assert torch.allclose(block(image)[0], (x + shortcut).clamp(min=0), atol=1e-5)
