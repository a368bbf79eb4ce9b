"""Bytes by operators against counting by hand, and the memory of a real process."""

import json

import pytest
import torch
from click.testing import CliRunner
from torch import nn

from vssbench.cli.cost import cost
from vssbench.core.errors import UsageError
from vssbench.core.variant import parse_variant
from vssbench.cost.memory import traffic
from vssbench.cost.operators import watch
from vssbench.run.footprint import measure

MAP = 4 * 8 * 8  # bytes of one channel


def on_meta(module, *shape):
    with torch.device("meta"):
        return module().eval(), torch.empty(*shape)


def test_bytes_by_hand():
    """3 -> 4 channels, normalised, rectified in place, a view, a sum."""
    layers = nn.Sequential

    def make():
        return layers(
            nn.Conv2d(3, 4, 3, padding=1, bias=True), nn.BatchNorm2d(4), nn.ReLU(inplace=True)
        )

    model, image = on_meta(make, 1, 3, 8, 8)
    seen, _ = watch(model, lambda x: model(x).flatten(2) + 1, image)
    assert seen.traffic.read == MAP * (3 + 4 + 4 + 4)
    statistics = 2 * 4 * 4  # the normalisation returns its mean and deviation too
    assert seen.traffic.written == MAP * (4 + 4 + 4 + 4) + statistics
    assert seen.traffic.weights == 4 * (4 * 27 + 4 + 4 * 4)
    assert seen.traffic.moved == seen.traffic.read + seen.traffic.written
    assert {packet.__name__ for packet in seen.calls} == {
        "convolution",
        "native_batch_norm",
        "relu_",
        "add",
    }
    assert seen.biases == 4 * 64


class Branches(nn.Module):
    """Keeps its first map until the end: then three are alive, with the image."""

    def __init__(self):
        super().__init__()
        self.wide, self.narrow = nn.Conv2d(3, 8, 1, bias=False), nn.Conv2d(8, 8, 1, bias=False)

    def forward(self, x):
        first = self.wide(x)
        return first + self.narrow(self.narrow(first))


def test_what_is_alive_at_once():
    model, image = on_meta(Branches, 1, 3, 8, 8)
    seen, _ = watch(model, model, image)
    # the image, first, the inner and the outer map of `narrow` while it runs; the sum then takes
    # the inner one's place
    assert seen.traffic.peak == MAP * (3 + 3 * 8)
    chain, image = on_meta(
        lambda: nn.Sequential(*(nn.Conv2d(3, 3, 1, bias=False) for _ in range(5))), 1, 3, 8, 8
    )
    assert watch(chain, chain, image)[0].traffic.peak == MAP * 3 * 3


def test_an_expanded_tensor_counts_what_it_stores():
    model, image = on_meta(nn.Identity, 1, 1, 8, 8)
    seen, _ = watch(model, lambda x: x.expand(1, 16, 8, 8) * 2, image)
    assert seen.traffic.read == MAP
    assert seen.traffic.written == 16 * MAP


def test_a_cheap_frame_moves_less_and_size_scales_it():
    key, other = traffic(parse_variant("dff[width=0.125]"), 5, 128, 192)
    assert other.moved < key.moved
    assert other.peak > 0
    small, same = traffic(parse_variant("bisenet[width=0.125]"), 5, 128, 192)
    large, _ = traffic(parse_variant("bisenet[width=0.125]"), 5, 256, 384)
    assert same == small
    assert large.moved == pytest.approx(4 * small.moved, rel=0.01)
    assert large.weights == small.weights


def test_a_size_that_does_not_run_is_refused_in_words():
    with pytest.raises(UsageError, match="does not run at 1x1"):
        traffic(parse_variant("pspnet[scale=0.5]"), 5, 1, 1)
    with pytest.raises(UsageError, match="does not run at 1x1 on cpu"):
        measure(parse_variant("pspnet[scale=0.5,width=0.125]"), 5, 1, 1, 1)


def test_a_process_of_its_own_holds_the_weights_and_grows_with_the_frame():
    variant = parse_variant("pspnet[style=semseg]")
    found = measure(variant, 5, 96, 128, 2)
    weights = 4 * 16_162_000  # float32; the head has 5 classes here
    assert (found.kind, found.device) == ("resident", "cpu")
    assert 0.9 * weights < found.held < 2.5 * weights
    assert found.loading >= 0.9 * weights
    assert found.gop >= 0.9 * weights
    larger = measure(variant, 5, 480, 640, 2)
    assert larger.gop - found.gop > 4 * 640 * 480 * 5  # one map of logits at the frame's size


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_gives_out_what_the_weights_take():
    found = measure(parse_variant("pspnet[style=semseg]"), 5, 96, 128, 2, "cuda")
    assert found.kind == "allocated"
    assert 4 * 16_000_000 < found.held < 4 * 20_000_000
    assert found.gop > found.held


def test_the_command_prints_memory():
    arguments = ["-m", "pspnet[width=0.125]", "--size", "96x128", "--gop", "2", "--memory"]
    row = json.loads(CliRunner().invoke(cost, [*arguments, "--json"]).stdout)[0]
    assert (
        row["memory"]["key"]["moved"]
        == row["memory"]["key"]["read"] + row["memory"]["key"]["written"]
    )
    assert row["memory"]["kind"] == "resident"
    assert row["params_training"] >= row["params"]
    text = CliRunner().invoke(cost, arguments).stdout
    assert "peak of GOP 2 MB" in text
