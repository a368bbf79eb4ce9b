"""GMACs against published numbers and against counting by hand."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vssbench.core.errors import UsageError
from vssbench.core.segmenter import VideoSegmenter
from vssbench.core.variant import parse_variant
from vssbench.cost.conventions import conventions
from vssbench.cost.crosscheck import cross_check
from vssbench.cost.gmacs import Cost, Parameters, count, meta_model, parameters
from vssbench.cost.memory import traffic
from vssbench.nets.pspnet import UpsamplingPSPNet


@pytest.mark.parametrize(
    ("method", "published"),
    # AR-Seg, Table 1 (CamVid, 720x960); BiSeNet's head counted once, where the table counts it
    # several times
    [
        ("pspnet", 309.02),
        ("arseg[scale=0.5]", 101.98),
        ("bisenet", 39.12),
        ("arseg[backbone=bise18]", 12.71),
    ],
)
def test_gop_mean_is_within_one_percent_of_the_paper(method, published):
    assert count(parse_variant(method), 12, 720, 960).gmacs_gop(12) == pytest.approx(
        published, rel=0.01
    )


def test_scales_of_the_per_frame_baseline():
    assert count(parse_variant("pspnet[scale=0.5]"), 12, 720, 960).gmacs_key == pytest.approx(
        77.27, rel=0.01
    )


def test_convolutions_counted_by_hand():
    """Output elements times kernel volume, summed by hooks over every convolution of a PSPNet18."""
    total = 0

    def add(module, inputs, output):
        nonlocal total
        per_output = (
            module.in_channels // module.groups * module.kernel_size[0] * module.kernel_size[1]
        )
        total += output.numel() * per_output

    with torch.device("meta"):
        network = UpsamplingPSPNet(11, width=0.25).eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(add)
    with torch.no_grad():
        network(torch.empty(1, 3, 360, 480, device="meta"))
    assert count(parse_variant("pspnet[width=0.25]"), 11, 360, 480).gmacs_key == pytest.approx(
        total / 1e9, rel=1e-9
    )


def test_local_attention_and_warp_are_counted():
    """AR0.5's non-key frame: LR network without its last convolution, CReFF, warp, and that
    convolution at full size."""
    height, width, channels, classes = 720, 960, 64, 12
    low = count(parse_variant("pspnet[scale=0.5]"), classes, height, width).gmacs_key
    low -= 360 * 480 * channels * classes / 1e9
    pixels = height * width
    fusion = (
        pixels * (3 * 9 * channels + 2 * 49 * channels + 4 * channels + channels * classes) / 1e9
    )
    assert count(parse_variant("arseg"), classes, height, width).gmacs_nonkey == pytest.approx(
        low + fusion, rel=1e-6
    )


def test_auxiliary_heads_are_not_counted():
    cost = count(parse_variant("bisenet"), 12, 96, 128)
    assert cost.params == 13_273_740
    assert (
        sum(p.numel() for p in meta_model(parse_variant("bisenet"), 12).parameters()) == 13_423_012
    )


def test_gop_mean():
    assert Cost(0, 10.0, 4.0).gmacs_gop(12) == pytest.approx((10 + 11 * 4) / 12)
    assert Cost(0, 10.0, 4.0).gmacs_gop(1) == 10.0


def test_the_warp_of_the_paper_is_counted_as_ours_is():
    exact, paper = (
        count(parse_variant(f"arseg[warp={mode},width=0.25]"), 11, 96, 128)
        for mode in ("exact", "paper")
    )
    without = count(parse_variant("arseg[warp=off,width=0.25]"), 11, 96, 128)
    assert paper == exact
    assert exact.gmacs_nonkey - without.gmacs_nonkey == pytest.approx(4 * 16 * 96 * 128 / 1e9)


def test_a_correlation_is_counted_as_a_loop_over_its_window_does_it():
    """Products of a pixel's feature with those of a 3x3 window, counted one at a time."""
    channels, height, width, window = 4, 5, 6, 3
    done = 0
    for _ in range(height):
        for _ in range(width):
            for _ in range(window * window):
                done += channels
    feature = torch.empty(1, channels, height, width, device="meta")
    with FlopCounterMode(display=False) as counter:
        torch.ops.vssbench.local_similarity(feature, feature, window)
    assert counter.get_total_flops() == 2 * done


def test_parameters_in_training_and_at_inference():
    model = meta_model(parse_variant("bisenet"), 12)
    assert parameters(model) == Parameters(13_423_012, 13_273_740)


def test_a_size_that_does_not_run_is_refused_in_words():
    with pytest.raises(UsageError, match="does not run at 1x1"):
        count(parse_variant("pspnet[scale=0.5]"), 12, 1, 1)


class OtherStyle(VideoSegmenter):
    """Everything that our own methods do not do: arguments by numpy's names, sums with numbers on
    the left, einsum, views."""

    display = "Other style"

    def __init__(self, classes):
        super().__init__(classes)
        self.first = torch.nn.Conv2d(3, 8, 3, padding=1)
        self.gain = torch.nn.Parameter(torch.ones((), dtype=torch.float64))
        self.mix = torch.nn.Parameter(torch.ones(4, 16))
        self.last = torch.nn.Conv2d(4, classes, 1)

    def keyframe(self, image):
        x = torch.relu_(1.0 - self.first(self.normalise(image))).mul_(2)
        x = torch.cat(tensors=[x, torch.add(x, 1) * self.gain], axis=1)
        x = x - x.mean(axis=(2, 3), keepdims=True)
        mask = (x.sum(dim=1, keepdim=True) > 0) + 1
        x = torch.einsum("kc,nchw->nkhw", self.mix, x * mask / 2)
        x = (
            (x.permute(0, 2, 3, 1) + 0)
            .permute(0, 3, 1, 2)
            .view(1, 4, -1)
            .view(1, 4, *image.shape[-2:])
        )
        return self.last(x), None

    def loss(self, phase, batch):
        raise AssertionError("not trained")


def test_a_network_written_in_another_style_is_counted(monkeypatch):
    monkeypatch.setattr(
        "vssbench.core.registry.create", lambda kind, variant, classes: OtherStyle(classes)
    )
    found = count(parse_variant("other"), 5, 6, 10)
    assert found.gmacs_key == pytest.approx(60 * (9 * 3 * 8 + 16 * 4 + 4 * 5) / 1e9, rel=1e-12)
    checked = cross_check(parse_variant("other"), 5, 6, 10).key
    assert {tool: tally.completed for tool, tally in checked.items()} == pytest.approx(
        dict.fromkeys(checked, found.gmacs_key)
    )


class Picky(OtherStyle):
    """Takes no size but multiples of 4, as many published networks."""

    def keyframe(self, image):
        if image.shape[-1] % 4:
            raise ValueError(f"a width of {image.shape[-1]} is no multiple of 4")
        return super().keyframe(image)


@pytest.mark.parametrize("counted", [count, cross_check, traffic, conventions()["arseg"].count])
def test_what_a_network_raises_of_itself_is_told_in_words(counted, monkeypatch):
    monkeypatch.setattr(
        "vssbench.core.registry.create", lambda kind, variant, classes: Picky(classes)
    )
    monkeypatch.setattr("vssbench.core.registry.load", lambda kind, name: Picky)
    with pytest.raises(
        UsageError, match="picky does not run at 8x10: a width of 10 is no multiple of 4"
    ):
        counted(parse_variant("picky"), 5, 8, 10)


@pytest.mark.parametrize(("mode", "taps"), [("bilinear", 4), ("nearest", 0), ("bicubic", 16)])
def test_a_sampled_value_costs_its_taps(mode, taps):
    image, grid = torch.empty(1, 3, 8, 9, device="meta"), torch.empty(1, 5, 7, 2, device="meta")
    with FlopCounterMode(display=False) as counter:
        torch.nn.functional.grid_sample(image, grid, mode=mode, align_corners=True)
    assert counter.get_total_flops() == 2 * taps * 3 * 5 * 7
