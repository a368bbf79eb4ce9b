"""FlowNet-S (Dosovitskiy et al., ICCV 2015) and the two smaller flow networks of DFF (CVPR 2017,
Appendix A).

All take two images concatenated along the channels, (N, 6, H, W), and predict the flow from the
first to the second: a pixel p of the first image lies at p + flow[p] in the second. Flow comes in
units of ``FLOW_UNIT`` pixels of the network's input, at strides 4, 8, 16, 32 and 64; a side that a
stride does not divide is rounded up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vssbench.core.segmenter import scaled_channels
from vssbench.nets.resize import resize

#: pixels of one unit of the networks' output (``div_flow`` in FlowNetPytorch)
FLOW_UNIT = 20.0
#: weights of the training loss at strides 4, 8, 16, 32, 64 (FlowNet's Caffe model and
#: FlowNetPytorch)
SCALE_WEIGHTS = (0.005, 0.01, 0.02, 0.08, 0.32)
SLOPE = 0.1  # of every leaky ReLU


@dataclass(frozen=True)
class Form:
    """The differences of published codes of FlowNet-S: batch normalisation and biases.

    Batch normalisation is in the encoder, biases are in the decoder.
    """

    batch_norm: bool
    decoder_bias: bool


#: DFF's own MXNet code has a bias in every layer; FlowNetPytorch has none in the decoder, and a
#: variant with BN in the encoder
FORMS = {"mxnet": Form(False, True), "pytorch": Form(False, False), "pytorch_bn": Form(True, False)}


class Encoder(nn.Module):
    """(N, 6, H, W) to the features that the decoder takes up, at strides 4, 8, 16, 32, 64;
    ``channels`` are theirs."""

    channels: tuple[int, int, int, int, int]


class FlowNet(nn.Module):
    """An encoder of strides 4 to 64 and FlowNet's decoder on top (ICCV 2015, Fig. 3), which are the
    same in all three networks.

    At every level from stride 32 to 4 the decoder concatenates the encoder's feature, the level
    below enlarged x2 by a 4x4 transposed convolution, and the flow predicted there enlarged
    likewise; where a side was odd the enlarged maps are cropped at the right and at the bottom.
    ``channels`` are those of the last concatenation, at stride 4.
    """

    def __init__(self, encoder: Encoder, deconvolutions: Sequence[int], bias: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.deconv, self.enlarge, self.predict = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        channels = encoder.channels[-1]
        self.predict["6"] = nn.Conv2d(channels, 2, 3, padding=1, bias=bias)
        for level, skip, outputs in zip(
            (5, 4, 3, 2), encoder.channels[-2::-1], deconvolutions, strict=True
        ):
            deconvolution = nn.ConvTranspose2d(channels, outputs, 4, 2, padding=1, bias=bias)
            self.deconv[str(level)] = nn.Sequential(
                deconvolution, nn.LeakyReLU(SLOPE, inplace=True)
            )
            self.enlarge[str(level + 1)] = nn.ConvTranspose2d(2, 2, 4, 2, padding=1, bias=bias)
            channels = skip + outputs + 2
            self.predict[str(level)] = nn.Conv2d(channels, 2, 3, padding=1, bias=bias)
        self.channels = channels
        _initialise(self)

    def decode(self, pair: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Map (N, 6, H, W) to the last concatenation (N, channels, H/4, W/4) and the flows at
        strides 8, 16, 32, 64."""
        *skips, x = self.encoder(pair)
        flows: list[Tensor] = []
        for level, skip in zip((5, 4, 3, 2), reversed(skips), strict=True):
            flow = self.predict[str(level + 1)](x)
            flows.insert(0, flow)
            enlarged = self.enlarge[str(level + 1)](flow)
            x = torch.cat([skip, _crop(self.deconv[str(level)](x), skip), _crop(enlarged, skip)], 1)
        return x, flows

    def pyramid(self, pair: Tensor) -> list[Tensor]:
        """Return the flows (N, 2, h, w) at strides 4, 8, 16, 32 and 64, which training compares
        with the true flow."""
        feature, flows = self.decode(pair)
        return [self.predict["2"](feature), *flows]

    def forward(self, pair: Tensor) -> Tensor:
        """Return the flow (N, 2, H/4, W/4)."""
        feature, _ = self.decode(pair)
        return self.predict["2"](feature)


class SimpleEncoder(Encoder):
    """The encoder of FlowNet-S (DFF, Table 6): ten convolutions, six of them with stride 2."""

    def __init__(self, width: float = 1.0, batch_norm: bool = False) -> None:
        super().__init__()
        c1, c2, c3, c4, c5, c6 = (scaled_channels(c, width) for c in (64, 128, 256, 512, 512, 1024))
        self.conv1 = _convolution(6, c1, 7, 2, batch_norm)
        self.conv2 = _convolution(c1, c2, 5, 2, batch_norm)
        self.conv3 = _convolution(c2, c3, 5, 2, batch_norm)
        self.conv3_1 = _convolution(c3, c3, 3, 1, batch_norm)
        self.conv4 = _convolution(c3, c4, 3, 2, batch_norm)
        self.conv4_1 = _convolution(c4, c4, 3, 1, batch_norm)
        self.conv5 = _convolution(c4, c5, 3, 2, batch_norm)
        self.conv5_1 = _convolution(c5, c5, 3, 1, batch_norm)
        self.conv6 = _convolution(c5, c6, 3, 2, batch_norm)
        self.conv6_1 = _convolution(c6, c6, 3, 1, batch_norm)
        self.channels = (c2, c3, c4, c5, c6)

    def forward(self, pair: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        second = self.conv2(self.conv1(pair))
        third = self.conv3_1(self.conv3(second))
        fourth = self.conv4_1(self.conv4(third))
        fifth = self.conv5_1(self.conv5(fourth))
        return second, third, fourth, fifth, self.conv6_1(self.conv6(fifth))


#: DFF's Table 8: module -> output channels of each convolution of its branches: a 1x1; a 1x1 and a
#: 3x3; a 1x1 and two 3x3; a 1x1 after 3x3 max pooling, in the modules of stride 2 ("reductions")
#: alone
Row = tuple[tuple[int, ...], tuple[int, int], tuple[int, int, int], tuple[int, ...]]
TABLE_8: dict[str, Row] = {
    "conv2": ((), (24, 32), (24, 32, 32), ()),
    "conv3_2": ((48,), (32, 64), (8, 16, 16), ()),
    "conv3_3": ((48,), (48, 64), (12, 16, 16), ()),
    "conv4_1": ((32,), (112, 128), (28, 32, 32), (64,)),
    "conv4_2": ((96,), (112, 128), (28, 32, 32), ()),
    "conv5_1": ((48,), (96, 192), (36, 48, 48), (96,)),
    "conv5_2": ((144,), (96, 192), (36, 48, 48), ()),
    "conv6_1": ((64,), (192, 256), (48, 64, 64), (128,)),
    "conv6_2": ((192,), (192, 256), (48, 64, 64), ()),
}


class Inception(nn.Module):
    """A module of Table 8: its branches side by side, their outputs concatenated.

    A reduction has its stride in the last spatial layer of each branch, as in Inception-v3; the
    table does not say where.
    """

    def __init__(self, inputs: int, row: Row, width: float, batch_norm: bool) -> None:
        super().__init__()
        *convolved, pooled = ([scaled_channels(c, width) for c in branch] for branch in row)
        stride = 2 if pooled else 1
        self.branches = nn.ModuleList()
        for branch in convolved:
            layers, previous = [], inputs
            for number, outputs in enumerate(branch, 1):
                last = number == len(branch)
                layers.append(
                    _convolution(
                        previous,
                        outputs,
                        1 if number == 1 else 3,
                        stride if last else 1,
                        batch_norm,
                    )
                )
                previous = outputs
            if layers:
                self.branches.append(nn.Sequential(*layers))
        if pooled:
            pooling = nn.MaxPool2d(3, stride, padding=1)
            self.branches.append(
                nn.Sequential(pooling, _convolution(inputs, pooled[0], 1, 1, batch_norm))
            )
        self.channels = sum(branch[-1] for branch in (*convolved, pooled) if branch)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


class InceptionEncoder(Encoder):
    """The encoder of FlowNet Inception (DFF, Table 8). Its activations are FlowNet's, which the
    paper does not mention."""

    def __init__(self, width: float = 1.0, batch_norm: bool = False) -> None:
        super().__init__()
        c1, c3 = scaled_channels(32, width), scaled_channels(128, width)
        self.conv1 = _convolution(6, c1, 7, 2, batch_norm)
        self.pool1 = nn.MaxPool2d(3, 2, padding=1)
        self.conv2 = Inception(c1, TABLE_8["conv2"], width, batch_norm)
        c2 = self.conv2.channels
        self.conv3_1 = _convolution(c2, c3, 3, 2, batch_norm)
        self.conv3, c3 = _modules(c3, ("conv3_2", "conv3_3"), width, batch_norm)
        self.conv4, c4 = _modules(c3, ("conv4_1", "conv4_2"), width, batch_norm)
        self.conv5, c5 = _modules(c4, ("conv5_1", "conv5_2"), width, batch_norm)
        self.conv6, c6 = _modules(c5, ("conv6_1", "conv6_2"), width, batch_norm)
        self.channels = (c2, c3, c4, c5, c6)

    def forward(self, pair: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        second = self.conv2(self.pool1(self.conv1(pair)))
        third = self.conv3(self.conv3_1(second))
        fourth = self.conv4(third)
        fifth = self.conv5(fourth)
        return second, third, fourth, fifth, self.conv6(fifth)


def flownet_s(width: float = 1.0, form: Form = FORMS["mxnet"]) -> FlowNet:
    """Build FlowNet-S: at width 1 38,675,536 parameters in the form ``pytorch``, 38,680,336 in
    ``pytorch_bn``.

    DFF's FlowNet Half is width 0.5 (Table 7).
    """
    encoder = SimpleEncoder(width, form.batch_norm)
    return FlowNet(
        encoder, [scaled_channels(c, width) for c in (512, 256, 128, 64)], form.decoder_bias
    )


def flownet_inception(width: float = 1.0, form: Form = FORMS["mxnet"]) -> FlowNet:
    """Build FlowNet Inception. Table 8 ends with the encoder; the decoder has an eighth of
    FlowNet-S's channels, the round number that brings the whole to the complexity of Table 2
    (FlowNet Half's decoder would put it 30 % above)."""
    encoder = InceptionEncoder(width, form.batch_norm)
    return FlowNet(encoder, [scaled_channels(c, width) for c in (64, 32, 16, 8)], form.decoder_bias)


@dataclass(frozen=True)
class Setting:
    """A flow network in the setting of its published code: ``build`` takes the width multiplier and
    the form; images in [0, 1] become its input by subtracting ``mean`` (RGB), reversing the
    channels (``bgr``), and averaging over squares of ``shrink`` pixels; ``name`` is what a display
    name says of it."""

    build: Callable[[float, Form], FlowNet]
    name: str
    shrink: int = 2
    mean: tuple[float, float, float] = (0.45, 0.432, 0.411)
    bgr: bool = False


#: DFF's three networks, on half-sized images, with the mean of Flying Chairs as in FlowNetPytorch
#: (DFF's own code subtracts its training set's, which differs by 0.03); and the narrow network of
#: yzfzzz/Deep-Feature-Flow-pytorch, on full-sized images
SETTINGS = {
    "flownets": Setting(flownet_s, ""),
    "half": Setting(lambda width, form: flownet_s(width / 2, form), "FlowNet Half"),
    "inception": Setting(flownet_inception, "FlowNet Inception"),
    "narrow": Setting(
        lambda width, form: flownet_s(0.375 * width, form), "FlowNet 3/8", 1, (0.0, 0.0, 0.0), True
    ),
}


class FeatureFlow(nn.Module):
    """DFF's F: two images to the flow and scale fields that carry a feature of the second over to
    the first (section 3, Eq. 3).

    As in the authors' code the decoder's last concatenation is averaged down to the feature's
    stride (at stride 16: 2x2), and FlowNet's last layer predicts the flow from that; a feature of a
    finer stride takes the fields enlarged bilinearly. Flow leaves in cells of the feature: for
    stride 16 and half-sized images 2.5 = 20 * 2 / 16 a unit.

    The scale field is 1 plus a 1x1 convolution, initially 0: the authors' bias of 1 is never
    trained. ``stride`` and ``channels`` are the feature's; without ``scale_field`` there is no
    convolution.
    """

    mean: Tensor

    def __init__(
        self,
        network: FlowNet,
        setting: Setting,
        stride: int,
        channels: int,
        scale_field: bool = True,
    ) -> None:
        super().__init__()
        self.network, self.setting, self.stride = network, setting, stride
        self.register_buffer("mean", torch.tensor(setting.mean).view(1, 3, 1, 1), persistent=False)
        self.scale: nn.Conv2d | None = None
        if scale_field:
            self.scale = nn.Conv2d(network.channels, channels, 1, bias=False)
            nn.init.zeros_(self.scale.weight)

    def pair(self, image: Tensor, keyframe: Tensor) -> Tensor:
        """Return two images (N, 3, H, W) in [0, 1] as the network's input (N, 6, H/2, W/2), sides
        rounded up."""
        images = [x - self.mean for x in (image, keyframe)]
        joined = torch.cat([x.flip(1) for x in images] if self.setting.bgr else images, 1)
        return (
            F.avg_pool2d(joined, self.setting.shrink, ceil_mode=True)
            if self.setting.shrink > 1
            else joined
        )

    def forward(
        self, image: Tensor, keyframe: Tensor, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor | None]:
        """Return the flow (N, 2, *size) from image to keyframe in cells of the feature, whose size
        this is, and the scale (N, channels, *size), None without a scale field."""
        decoded, _ = self.network.decode(self.pair(image, keyframe))
        factor = self.stride // (4 * self.setting.shrink)
        if factor > 1:
            decoded = F.avg_pool2d(decoded, factor, ceil_mode=True)
        flow = self.network.predict["2"](decoded).float() * (
            FLOW_UNIT * self.setting.shrink / self.stride
        )
        flow = resize(flow, size, align_corners=False)
        if self.scale is None:
            return flow, None
        return flow, resize(1 + self.scale(decoded), size, align_corners=False)

    def error(self, image: Tensor, keyframe: Tensor, flow: Tensor) -> Tensor:
        """Compute FlowNet's training loss against the true flow (N, 2, H, W) from image to
        keyframe, in pixels of the images."""
        return multiscale_error(
            self.network.pyramid(self.pair(image, keyframe)), flow / self.setting.shrink
        )


def multiscale_error(predictions: Sequence[Tensor], flow: Tensor) -> Tensor:
    """Compute FlowNet's training loss: end-point errors at all five scales, summed over pixels,
    meaned over the batch, weighted.

    ``predictions``: :meth:`FlowNet.pyramid`; ``flow``: the true flow (N, 2, H, W), of any
    resolution, in pixels of the network's input. Each prediction is compared with the mean over its
    cell. NaN is flow that nobody knows: the mean is over the other pixels, and the cell counts by
    their share.
    """
    known = flow.isfinite().all(1, keepdim=True)
    units = torch.where(known, flow / FLOW_UNIT, 0.0)
    total = flow.new_zeros(())
    for prediction, weight in zip(predictions, SCALE_WEIGHTS, strict=True):
        size = (prediction.shape[-2], prediction.shape[-1])
        share = F.adaptive_avg_pool2d(known.to(flow.dtype), size)
        target = F.adaptive_avg_pool2d(units, size) / share.clamp(min=1e-6)
        error = torch.linalg.vector_norm(prediction.float() - target, dim=1, keepdim=True)
        total = total + weight * (error * share).sum() / len(flow)
    return total


def _convolution(
    inputs: int, outputs: int, kernel: int, stride: int, batch_norm: bool
) -> nn.Sequential:
    convolution = nn.Conv2d(
        inputs, outputs, kernel, stride, padding=kernel // 2, bias=not batch_norm
    )
    normalisation = [nn.BatchNorm2d(outputs)] if batch_norm else []
    return nn.Sequential(convolution, *normalisation, nn.LeakyReLU(SLOPE, inplace=True))


def _modules(
    inputs: int, names: Sequence[str], width: float, batch_norm: bool
) -> tuple[nn.Sequential, int]:
    """Return Inception modules in a row, and the channels of their output."""
    modules = []
    for name in names:
        modules.append(Inception(inputs, TABLE_8[name], width, batch_norm))
        inputs = modules[-1].channels
    return nn.Sequential(*modules), inputs


def _crop(x: Tensor, like: Tensor) -> Tensor:
    return x[..., : like.shape[-2], : like.shape[-1]]


def _initialise(network: nn.Module) -> None:
    """Apply He initialisation for leaky ReLUs, biases 0 (FlowNetPytorch)."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(layer.weight, SLOPE)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
