"""FlowNet-S, Half and Inception: counts, crops, the fields for DFF, the loss; each against an
independent statement."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from vssbench.methods.dff.deeplab import DeepLab
from vssbench.methods.dff.flownet import (
    FORMS,
    SETTINGS,
    TABLE_8,
    FeatureFlow,
    Inception,
    flownet_inception,
    flownet_s,
    multiscale_error,
)


def gmacs(call) -> float:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops() / 2e9


def on_meta(build):
    with torch.device("meta"):
        return build().eval()


@pytest.mark.parametrize(
    ("width", "form", "parameters", "at_camvid", "at_cityscapes"),
    [
        (1, "pytorch", 38_675_536, 55.89, 168.40),
        (1, "pytorch_bn", 38_680_336, 55.89, 168.40),
        (0.375, "mxnet", 5_462_674, 8.70, 26.23),
    ],
)
def test_counts_equal_the_originals(width, form, parameters, at_camvid, at_cityscapes):
    network = on_meta(lambda: flownet_s(width, FORMS[form]))
    assert sum(p.numel() for p in network.parameters()) == parameters
    for size, expected in (((720, 960), at_camvid), ((1024, 2048), at_cityscapes)):
        assert gmacs(
            lambda size=size: network(torch.empty(1, 6, *size, device="meta"))
        ) == pytest.approx(expected, abs=0.005)


def feature_flow(
    flow: str = "flownets", stride: int = 16, channels: int = 1024, width: float = 1, **options
) -> FeatureFlow:
    setting = SETTINGS[flow]
    return FeatureFlow(setting.build(width, FORMS["mxnet"]), setting, stride, channels, **options)


def cost_of_fields(flow: str, size: tuple[int, int]) -> float:
    fields = on_meta(lambda: feature_flow(flow))
    image = torch.empty(1, 3, *size, device="meta")
    return gmacs(lambda: fields(image, image, (math.ceil(size[0] / 16), math.ceil(size[1] / 16))))


@pytest.mark.parametrize(("size", "expected"), [((720, 960), 14.69), ((1024, 2048), 43.64)])
def test_the_fields_cost_what_the_authors_code_does(size, expected):
    assert cost_of_fields("flownets", size) == pytest.approx(expected, abs=0.01)


def test_the_mxnet_form_has_38_88_million_parameters():
    fields = on_meta(feature_flow)
    # of transposed convolutions, predictors, enlargements of the flow
    biases = (512 + 256 + 128 + 64) + 5 * 2 + 4 * 2
    assert sum(p.numel() for p in fields.parameters()) == 38_675_536 + biases + 194 * 1024


@pytest.mark.parametrize("layers", [50, 101])
def test_complexity_ratios_of_table_2(layers):
    """N_feat against F, at CamVid's size; within 2 % of the printed ratios."""
    printed = {50: (9.2, 33.56, 68.97), 101: (12.71, 46.3, 95.24)}[layers]
    feature = on_meta(lambda: DeepLab(19, layers))
    cost = gmacs(lambda: feature.features(torch.empty(1, 3, 720, 960, device="meta")))
    for flow, expected in zip(("flownets", "half", "inception"), printed, strict=True):
        assert cost / cost_of_fields(flow, (720, 960)) == pytest.approx(expected, rel=0.02)


def test_table_8_adds_up_to_its_output_column():
    printed = dict(zip(TABLE_8, (64, 128, 128, 256, 256, 384, 384, 512, 512), strict=True))
    for name, outputs in printed.items():
        with torch.device("meta"):
            assert Inception(8, TABLE_8[name], 1, False).channels == outputs
    assert on_meta(flownet_inception).encoder.channels == (64, 128, 256, 384, 512)


def test_a_reduction_is_its_four_branches_side_by_side():
    torch.manual_seed(0)
    module = Inception(8, TABLE_8["conv5_1"], 0.125, False).eval()
    x = torch.randn(1, 8, 7, 9)

    def layer(sequence, x, stride):
        convolution = sequence[0]
        kernel = convolution.weight.shape[-1]
        return F.leaky_relu(
            F.conv2d(x, convolution.weight, convolution.bias, stride, kernel // 2), 0.1
        )

    single, double, triple, pooled = module.branches
    with torch.no_grad():
        expected = [
            layer(single[0], x, 2),
            layer(double[1], layer(double[0], x, 1), 2),
            layer(triple[2], layer(triple[1], layer(triple[0], x, 1), 1), 2),
            layer(pooled[1], F.max_pool2d(x, 3, 2, 1), 1),
        ]
        assert torch.allclose(module(x), torch.cat(expected, 1), atol=1e-6)
    assert module(x).shape == (1, module.channels, 4, 5)


@pytest.mark.parametrize("build", [flownet_s, flownet_inception])
@pytest.mark.parametrize("size", [(64, 128), (75, 101), (45, 61)])
def test_every_stride_rounds_up(build, size):
    network = build(0.125).eval()
    with torch.no_grad():
        pyramid = network.pyramid(torch.randn(1, 6, *size))
    for flow, stride in zip(pyramid, (4, 8, 16, 32, 64), strict=True):
        assert flow.shape == (1, 2, math.ceil(size[0] / stride), math.ceil(size[1] / stride))


def slow_enlargement(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, size: tuple[int, int]
) -> torch.Tensor:
    """The 4x4 transposed convolution of stride 2 in Caffe's and MXNet's form: unpadded, then
    cropped from (1, 1)."""
    _, inputs, height, width = x.shape
    full = torch.zeros(1, weight.shape[1], 2 * height + 2, 2 * width + 2)
    for c in range(inputs):
        for i in range(height):
            for j in range(width):
                full[0, :, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4] += x[0, c, i, j] * weight[c]
    return full[..., 1 : 1 + size[0], 1 : 1 + size[1]] + bias.view(1, -1, 1, 1)


def test_the_decoder_level_by_level():
    """Skip, enlarged feature, enlarged flow, in this order, at odd sizes; in the authors'
    crop-with-offset form."""
    torch.manual_seed(1)
    network = flownet_s(0.125).eval()
    for parameter in network.parameters():
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter, std=0.1)
    pair = torch.randn(1, 6, 75, 101)
    with torch.no_grad():
        *skips, x = network.encoder(pair)
        flows = []
        for level in (5, 4, 3, 2):
            skip, deconvolution = skips[level - 2], network.deconv[str(level)][0]
            predict, enlarge = network.predict[str(level + 1)], network.enlarge[str(level + 1)]
            flow = F.conv2d(x, predict.weight, predict.bias, padding=1)
            flows.insert(0, flow)
            size = skip.shape[-2:]
            enlarged = slow_enlargement(x, deconvolution.weight, deconvolution.bias, size)
            moved = slow_enlargement(flow, enlarge.weight, enlarge.bias, size)
            x = torch.cat([skip, F.leaky_relu(enlarged, 0.1), moved], 1)
        decoded, coarse = network.decode(pair)
        assert torch.allclose(decoded, x, atol=1e-4)
        assert all(
            torch.allclose(ours, slow, atol=1e-4) for ours, slow in zip(coarse, flows, strict=True)
        )
        expected = F.conv2d(x, network.predict["2"].weight, network.predict["2"].bias, padding=1)
        assert torch.allclose(network(pair), expected, atol=1e-4)


def slow_halving(x: torch.Tensor) -> torch.Tensor:
    """Means over squares of 2x2 pixels; those at an odd border are smaller."""
    height, width = math.ceil(x.shape[-2] / 2), math.ceil(x.shape[-1] / 2)
    out = torch.zeros(*x.shape[:2], height, width)
    for i in range(height):
        for j in range(width):
            out[..., i, j] = x[..., 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean((-2, -1))
    return out


@pytest.mark.parametrize("size", [(64, 96), (75, 101)])
def test_fields_at_stride_16(size):
    """Half-sized images less the mean; the concatenation halved once more, then FlowNet's last
    layer, times 2.5."""
    torch.manual_seed(2)
    fields = feature_flow(width=0.125, channels=24).eval()
    torch.nn.init.normal_(fields.scale.weight)
    image, keyframe = torch.rand(2, 3, *size), torch.rand(2, 3, *size)
    mean = torch.tensor([0.45, 0.432, 0.411]).view(1, 3, 1, 1)
    with torch.no_grad():
        feature, _ = fields.network.decode(
            slow_halving(torch.cat([image - mean, keyframe - mean], 1))
        )
        feature = slow_halving(feature)
        last = fields.network.predict["2"]
        expected_flow = 2.5 * F.conv2d(feature, last.weight, last.bias, padding=1)
        expected_scale = 1 + torch.einsum("oc,nchw->nohw", fields.scale.weight[:, :, 0, 0], feature)
        cells = (math.ceil(size[0] / 16), math.ceil(size[1] / 16))
        flow, scale = fields(image, keyframe, cells)
    assert flow.shape == (2, 2, *cells)
    assert torch.allclose(flow, expected_flow, atol=1e-4)
    assert torch.allclose(scale, expected_scale, atol=1e-4)


@pytest.mark.parametrize(
    ("flow", "stride"), [("flownets", 8), ("flownets", 1), ("narrow", 8), ("narrow", 4)]
)
def test_flow_is_in_cells_of_the_feature(flow, stride):
    """A last layer that always says one unit, 20 pixels of the network's input."""
    fields = feature_flow(flow, stride, 8, 0.125).eval()
    torch.nn.init.zeros_(fields.network.predict["2"].weight)
    torch.nn.init.ones_(fields.network.predict["2"].bias)
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        moved, scale = fields(image, image, (64 // stride, 96 // stride))
    pixels = 20 * (1 if flow == "narrow" else 2)
    assert torch.allclose(moved, torch.full((1, 2, 64 // stride, 96 // stride), pixels / stride))
    assert torch.equal(scale, torch.ones(1, 8, 64 // stride, 96 // stride))


def test_the_narrow_network_sees_bgr_at_full_size():
    image, keyframe = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8)
    pair = feature_flow("narrow", 4, 8, 0.125).pair(image, keyframe)
    assert torch.equal(pair, torch.cat([image[:, [2, 1, 0]], keyframe[:, [2, 1, 0]]], 1))


def slow_error(predictions: list[torch.Tensor], flow: torch.Tensor) -> float:
    """Cell by cell over the pixels that it covers; NaN pixels are left out, and make the cell count
    less."""
    total = 0.0
    count, _, height, width = flow.shape
    for prediction, weight in zip(predictions, (0.005, 0.01, 0.02, 0.08, 0.32), strict=True):
        rows, columns = height // prediction.shape[2], width // prediction.shape[3]
        for n in range(count):
            for i in range(prediction.shape[2]):
                for j in range(prediction.shape[3]):
                    cell = (
                        flow[
                            n, :, i * rows : (i + 1) * rows, j * columns : (j + 1) * columns
                        ].flatten(1)
                        / 20
                    )
                    known = cell[:, cell.isfinite().all(0)]
                    if known.shape[1]:
                        apart = math.dist(prediction[n, :, i, j].tolist(), known.mean(1).tolist())
                        total += weight * apart * known.shape[1] / cell.shape[1] / count
    return total


@pytest.mark.parametrize("unknown", [False, True])
def test_the_loss_is_a_sum_over_cells(unknown):
    torch.manual_seed(3)
    flow = torch.randn(2, 2, 64, 128) * 10
    if unknown:
        flow[0, :, :5, :40] = math.nan
        flow[1, 0, 32:, 64:] = math.nan  # one component alone, and all of a coarse cell
    predictions = [
        torch.randn(2, 2, 64 // stride, 128 // stride, requires_grad=True)
        for stride in (4, 8, 16, 32, 64)
    ]
    loss = multiscale_error(predictions, flow)
    assert loss.item() == pytest.approx(
        slow_error([p.detach() for p in predictions], flow), rel=1e-5
    )
    loss.backward()
    assert all(p.grad.isfinite().all() for p in predictions)


def test_the_loss_of_the_true_flow_is_zero():
    """A constant flow of 20 pixels of the images is 10 of the half-sized ones: half a unit."""
    fields = feature_flow(width=0.125, channels=8)
    for name, layer in fields.network.predict.items():
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.constant_(layer.bias, 0.5 if name != "6" else 0.75)
    image = torch.rand(1, 3, 128, 256)
    error = fields.error(image, image, torch.full((1, 2, 128, 256), 20.0))
    # stride 64 of 64 x 128: two cells
    assert error.item() == pytest.approx(0.32 * math.hypot(0.25, 0.25) * 1 * 2)
