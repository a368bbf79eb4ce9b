"""BiSeNet's modules against slow restatements, its forms against the originals' parameters and
multiplications."""

import math

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vssbench.methods.bisenet.figure import FigureBiSeNet, PlainRefinement
from vssbench.nets.bisenet import (
    FORMS,
    GATES,
    AttentionRefinement,
    BiSeNet,
    BiSeNet18,
    ChannelGate,
    FeatureFusion,
    PlainGate,
)


def shaken(module):
    """The module in evaluation mode with statistics of batch normalisation that are not 0 and 1."""
    torch.manual_seed(0)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean, std=0.3)
            nn.init.uniform_(layer.running_var, 0.5, 2)
            nn.init.uniform_(layer.weight, 0.5, 2)
            nn.init.normal_(layer.bias, std=0.3)
    return module.eval()


def convolved(x, weight, bias=None):
    """Zero-padded convolution of stride 1 of (C, H, W), pixel by pixel."""
    outputs, inputs, kernel, _ = weight.shape
    _, height, width = x.shape
    result = torch.zeros(outputs, height, width)
    for o in range(outputs):
        for y in range(height):
            for z in range(width):
                total = 0.0 if bias is None else float(bias[o])
                for i in range(kernel):
                    for j in range(kernel):
                        row, column = y + i - kernel // 2, z + j - kernel // 2
                        if 0 <= row < height and 0 <= column < width:
                            total += sum(
                                float(weight[o, c, i, j] * x[c, row, column]) for c in range(inputs)
                            )
                result[o, y, z] = total
    return result


def normed(x, layer):
    """Batch normalisation of (C, H, W) in evaluation mode, channel by channel."""
    result = torch.empty_like(x)
    for c in range(x.shape[0]):
        deviation = math.sqrt(float(layer.running_var[c]) + 1e-5)
        result[c] = (x[c] - float(layer.running_mean[c])) / deviation * float(
            layer.weight[c]
        ) + float(layer.bias[c])
    return result


def block(x, layers):
    return normed(convolved(x, layers[0].weight), layers[1]).clamp(min=0)


def attention(x, gate):
    """Return the factor by which each channel of (C, H, W) is scaled, for each kind of gate."""
    mean = torch.tensor([float(channel.sum()) / channel.numel() for channel in x]).view(-1, 1, 1)
    if isinstance(gate, PlainGate):
        mean = convolved(mean, gate[1].weight, gate[1].bias).clamp(min=0)
        mean = convolved(mean, gate[3].weight, gate[3].bias)
    else:
        mean = normed(convolved(mean, gate[1].weight), gate[2])
        if not isinstance(gate, ChannelGate):
            mean = mean.clamp(min=0)
    return torch.tensor([1 / (1 + math.exp(-float(value))) for value in mean]).view(-1, 1, 1)


def test_attention_refinement_by_loops():
    module, image = shaken(AttentionRefinement(3, 4)), torch.randn(1, 3, 4, 5)
    with torch.no_grad():
        feature = block(image[0], module.conv)
        assert torch.allclose(
            module(image)[0], feature * attention(feature, module.gate), atol=1e-5
        )


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("kernel", [1, 3])
def test_feature_fusion_by_loops(gate, kernel):
    module = shaken(FeatureFusion(5, 4, GATES[gate](4), kernel))
    spatial, context = torch.randn(1, 2, 3, 4), torch.randn(1, 3, 3, 4)
    with torch.no_grad():
        fused = block(torch.cat([spatial[0], context[0]]), module.conv)
        assert torch.allclose(
            module(spatial, context)[0], fused + fused * attention(fused, module.gate), atol=1e-5
        )


def test_plain_refinement_by_loops():
    module, image = shaken(PlainRefinement(4)), torch.randn(1, 4, 3, 5)
    with torch.no_grad():
        mean = image[0].mean((1, 2), keepdim=True)
        expected = torch.sigmoid(convolved(mean, module[1].weight, module[1].bias))
        assert torch.allclose(module(image)[0], expected, atol=1e-6)


def nearest(x, height, width):
    """Every cell takes the cell of ``x`` that its upper left corner lies in."""
    rows, columns = x.shape[-2:]
    result = torch.empty(*x.shape[:-2], height, width)
    for y in range(height):
        for z in range(width):
            result[..., y, z] = x[..., y * rows // height, z * columns // width]
    return result


def bilinear(x, height, width):
    """Between cell centres, corners aligned."""
    rows, columns = x.shape[-2:]
    result = torch.empty(*x.shape[:-2], height, width)
    for y in range(height):
        for z in range(width):
            row, column = y * (rows - 1) / (height - 1), z * (columns - 1) / (width - 1)
            top, left = min(int(row), rows - 2), min(int(column), columns - 2)
            down, right = row - top, column - left
            upper = x[..., top, left] * (1 - right) + x[..., top, left + 1] * right
            lower = x[..., top + 1, left] * (1 - right) + x[..., top + 1, left + 1] * right
            result[..., y, z] = upper * (1 - down) + lower * down
    return result


def enlarged(kind, x, height, width, last):
    """Enlarge a feature for the next stage of that size, as a form's context path does."""
    if kind == "nearest":
        return nearest(x, height, width)
    if kind == "bilinear":
        return bilinear(x, height, width)
    doubled = nearest(x, 2 * x.shape[-2], 2 * x.shape[-1])
    return doubled if last else bilinear(doubled, height, width)


@pytest.mark.parametrize("form", FORMS)
def test_context_path_of_an_odd_size(form):
    """90x166: the stages have 12x21, 6x11 and 3x6 cells, so that twice the last but one is wider
    than the first by a column."""
    path = shaken(BiSeNet(3, 0.125, form=form).context)
    image, kind = torch.randn(1, 3, 90, 166), FORMS[form].enlarge
    with torch.no_grad():
        f8, f16, f32 = path.backbone(image)[1:]
        deep = path.arm32(f32) + path.average(f32.mean((-2, -1), keepdim=True))
        deep = path.head32(enlarged(kind, deep, *f16.shape[-2:], last=False))
        merged = path.head16(enlarged(kind, path.arm16(f16) + deep, *f8.shape[-2:], last=True))
        eight, sixteen = path(image)
    assert f8.shape[-2:] == (12, 21)
    assert eight.shape[-2:] == ((12, 22) if kind == "nearest_double" else (12, 21))
    for found, expected in ((sixteen, deep), (eight, merged)):
        assert float((found - expected).abs().max()) < 1e-5 * float(expected.abs().max())


def cost(network, height, width):
    """(parameters, those of inference, GMACs) of a network on the meta device."""
    with torch.device("meta"):
        image = torch.empty(1, 3, height, width)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(image)
    idle = sum(p.numel() for name in network.auxiliary for p in getattr(network, name).parameters())
    total = sum(p.numel() for p in network.parameters())
    return total, total - idle, counter.get_total_flops() / 2e9


@pytest.mark.parametrize(
    ("form", "backbone", "parameters", "inference", "gmacs"),
    [
        ("coincheung", "resnet18", 13_425_721, 13_275_539, None),
        ("torchseg", "resnet18", 13_494_777, 12_894_163, 34.32),
        ("torchseg_speed", "resnet18", 13_194_489, 12_894_163, 34.32),
        ("torchseg", "xception39", 1_842_289, 1_541_963, None),
        ("torchseg", "resnet101", 48_239_417, 47_638_803, None),
        ("mmseg", "resnet18", 13_425_721, 13_275_539, 39.14),
        ("mmseg", "resnet50", 59_243_385, 56_873_299, None),
    ],
)
def test_cost_is_the_originals(form, backbone, parameters, inference, gmacs):
    """19 classes, 720x960; the originals' codes run and counted."""
    with torch.device("meta"):
        network = BiSeNet(19, 1.0, backbone, form).eval()
    assert cost(network, 64, 64)[:2] == (parameters, inference)
    if gmacs is not None:
        assert round(cost(network, 720, 960)[2], 2) == gmacs


@pytest.mark.parametrize(("height", "width", "gmacs"), [(736, 960, 39.87), (1024, 2048, 118.34)])
def test_cost_of_coincheungs(height, width, gmacs):
    with torch.device("meta"):
        network = BiSeNet18(19).eval()
    assert round(cost(network, height, width)[2], 2) == gmacs


def test_cost_of_the_figures_form():
    """The original's 12,581,672 parameters hold ImageNet's classifier and two batch normalisations,
    all unused."""
    with torch.device("meta"):
        network = FigureBiSeNet(19).eval()
    parameters, inference, gmacs = cost(network, 720, 960)
    assert parameters == 12_581_672 - (512 * 1000 + 1000) - 2 * (256 + 512)
    assert inference == 12_581_672 - 529_166
    assert round(gmacs, 2) == 33.92


@pytest.mark.parametrize(
    ("backbone", "parameters", "operations"), [("xception39", 5.8, 2.9), ("resnet18", 49.0, 10.8)]
)
def test_first_authors_code_against_the_papers_table(backbone, parameters, operations):
    """Table 4, 640x360, in binary units: G are 2^30 multiply-accumulates, M are MiB of float32
    parameters."""
    with torch.device("meta"):
        network = BiSeNet(19, 1.0, backbone, "torchseg").eval()
    _, inference, gmacs = cost(network, 360, 640)
    assert round(gmacs * 1e9 / 2**30, 1) == operations
    assert inference * 4 / 2**20 == pytest.approx(parameters, rel=0.015)


@pytest.mark.parametrize(
    "network", [BiSeNet18, FigureBiSeNet, lambda *args: BiSeNet(*args, "xception39", "torchseg")]
)
@pytest.mark.parametrize("size", [(64, 96), (45, 61)])
def test_logits_have_the_images_size(network, size):
    model = network(5, 0.125).eval()
    with torch.no_grad():
        logits, feature = model(torch.randn(1, 3, *size))
    assert logits.shape == (1, 5, *size)
    assert feature.shape[:2] == (1, model.feature_channels)
