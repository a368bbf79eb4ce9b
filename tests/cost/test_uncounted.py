"""Operators that multiply are counted by a formula or named, whoever called them."""

import json
import sys
from importlib.metadata import EntryPoint
from math import prod

import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from torch import nn

from vssbench.cli import bench
from vssbench.core import registry
from vssbench.core.variant import Variant, parse_variant
from vssbench.cost.agreement import causes
from vssbench.cost.crosscheck import _Frame, _tallies
from vssbench.cost.gmacs import count
from vssbench.cost.shapes import ShapesAlone
from vssbench.cost.uncounted import Watch, kind_left_out
from vssbench.run.store import RunStore

ELSEWHERE = torch.library.Library("vssbench_elsewhere", "DEF")
#: the signature of torchvision's, which this build of it cannot load everywhere
ELSEWHERE.define("deform_conv2d(Tensor x, Tensor weight, Tensor offset) -> Tensor")
ELSEWHERE.impl(
    "deform_conv2d",
    lambda x, weight, offset: x.new_empty(x.shape[0], weight.shape[0], *offset.shape[2:]),
    "CompositeExplicitAutograd",
)


class Layer(nn.Module):
    """A module as a frame's whole work: of an image, its rows of 3 values or some of both."""

    def __init__(self, module, call):
        super().__init__()
        self.module, self.call = module, call

    def begin(self, image):
        return self.call(self.module, image), None


def tallies(make, call):
    with torch.device("meta"):
        frame = _Frame(Layer(make(), call).eval())
    with torch.no_grad():
        return _tallies(frame, torch.empty(1, 3, 8, 10, device="meta"))


def rows(image):
    """80 rows of 3 values, in a batch of 1."""
    return image.flatten(2).transpose(1, 2)


def deformed(_, image):
    weight, offset = image.new_empty(4, 3, 3, 3), image.new_empty(1, 18, 8, 10)
    return torch.ops.vssbench_elsewhere.deform_conv2d(image, weight, offset)


RECURRENT = 2 * 80 * 4 * (3 * 5 + 5 * 5)  # both directions, 80 steps, four gates
#: what runs -> its products by hand
COUNTED = {
    "bilinear": (lambda: nn.Bilinear(3, 3, 5), lambda m, x: m(rows(x), rows(x)), 80 * 5 * 3 * 3),
    "lstm": (
        lambda: nn.LSTM(3, 5, batch_first=True, bidirectional=True),
        lambda m, x: m(rows(x))[0], RECURRENT,
    ),
    "lstm of two layers": (
        lambda: nn.LSTM(3, 5, num_layers=2), lambda m, x: m(rows(x))[0],
        80 * 4 * (3 * 5 + 5 * 5 + 5 * 5 + 5 * 5),
    ),
    "lstm with projection": (
        lambda: nn.LSTM(3, 5, proj_size=2), lambda m, x: m(rows(x))[0],
        80 * (20 * 3 + 20 * 2 + 2 * 5),
    ),
    "gru": (lambda: nn.GRU(3, 5), lambda m, x: m(rows(x))[0], 80 * 3 * (3 * 5 + 5 * 5)),
    "rnn": (lambda: nn.RNN(3, 5), lambda m, x: m(rows(x))[0], 80 * (3 * 5 + 5 * 5)),
    "lstm cell": (
        lambda: nn.LSTMCell(3, 5), lambda m, x: m(rows(x)[0])[0], 80 * 4 * (3 * 5 + 5 * 5)
    ),
    "gru cell": (lambda: nn.GRUCell(3, 5), lambda m, x: m(rows(x)[0]), 80 * 3 * (3 * 5 + 5 * 5)),
    "rnn cell": (
        lambda: nn.RNNCell(3, 5, nonlinearity="relu"), lambda m, x: m(rows(x)[0]), 80 * (15 + 25)
    ),
    "attention": (
        lambda: nn.MultiheadAttention(4, 2, batch_first=True, kdim=3, vdim=3),
        lambda m, x: m(F.pad(rows(x), (0, 1)), rows(x), rows(x), need_weights=False)[0],
        80 * 4 * (4 + 3 + 3 + 4) + 2 * 80 * 80 * 4,
    ),
    "einsum": (nn.Identity, lambda m, x: torch.einsum("bchw,bkhw->bckw", x, x), 10 * 3 * 3 * 8),
    "einsum of many digits": (
        nn.Identity, lambda m, x: torch.einsum("bchw,bdjw->bchdj", x, x), 24 * 24 * 10
    ),
    "transposed convolution": (
        lambda: nn.ConvTranspose2d(3, 4, 4, 2, 1), lambda m, x: m(x), 80 * 3 * 4 * 16
    ),
    "unfold and matmul": (
        nn.Identity,
        lambda m, x: x.new_empty(5, 27) @ F.unfold(x.expand(2, -1, -1, -1), 3, padding=1),
        2 * 5 * 27 * 80,
    ),
    "matrix and vector": (nn.Identity, lambda m, x: x[0, 0] @ x[0, 0, 0], 8 * 10),
    "two vectors": (nn.Identity, lambda m, x: x[0, 0, 0] @ x[0, 0, 1], 10),
    "cdist": (nn.Identity, lambda m, x: torch.cdist(rows(x), rows(x)), 80 * 80 * 3),
    "cdist of sums": (nn.Identity, lambda m, x: torch.cdist(rows(x), rows(x), p=1.0), 0),
    "baddbmm": (nn.Identity, lambda m, x: torch.baddbmm(x[0], x[0], x.new_empty(3, 10, 10)), 2400),
    "addbmm": (nn.Identity, lambda m, x: torch.addbmm(x[0, 0], x[0], x.new_empty(3, 10, 10)), 2400),
    "addmv": (nn.Identity, lambda m, x: torch.addmv(x[0, 0, :, 0], x[0, 0], x[0, 0, 0]), 80),
    "addmm in place": (
        nn.Identity,
        lambda m, x: x[0, 0].clone().addmm_(x[0, 0], x.new_empty(10, 10)), 800,
    ),
    "tensordot": (nn.Identity, lambda m, x: torch.tensordot(x, x, ([1, 3], [1, 3])), 64 * 30),
    "scaled dot products": (
        nn.Identity,
        lambda m, x: F.scaled_dot_product_attention(rows(x), rows(x), rows(x)), 2 * 80 * 80 * 3,
    ),
    "grid_sample": (
        nn.Identity, lambda m, x: F.grid_sample(x, x.new_empty(1, 5, 6, 2), align_corners=False),
        4 * 3 * 30,
    ),
    "grid_sample of volumes": (
        nn.Identity,
        lambda m, x: F.grid_sample(x[None], x.new_empty(1, 2, 5, 6, 3), align_corners=False),
        8 * 60,
    ),
    "affine_grid": (
        nn.Identity,
        lambda m, x: F.affine_grid(x.new_empty(1, 2, 3), [1, 1, 5, 6], align_corners=False), 30 * 6,
    ),
    "cross product": (nn.Identity, lambda m, x: torch.cross(x, x.flip(2), dim=1), 2 * 240),
    "cross product of linalg": (
        nn.Identity, lambda m, x: torch.linalg.cross(rows(x), rows(x)[:, :1]), 2 * 240
    ),
    "many matrices": (
        nn.Identity,
        lambda m, x: torch.linalg.multi_dot([x[0, 0], x[0, 0].T, x[0, 0]]), 2 * 640,
    ),
    "matmul of linalg": (
        nn.Identity, lambda m, x: torch.linalg.matmul(x[0, 0], x[0, 0, 0]), 8 * 10
    ),
    "conv3d": (lambda: nn.Conv3d(1, 2, 3, padding=1), lambda m, x: m(x[None]), 240 * 2 * 27),
}  # fmt: skip
#: what runs -> the operators of it that no formula knows
NAMED = {
    "fft": (nn.Identity, lambda m, x: torch.fft.rfft2(x).abs(), ("fft_r2c", "fft_rfft2")),
    "inverse": (nn.Identity, lambda m, x: torch.linalg.inv(x[..., :8]), ("linalg_inv",)),
    "decomposition": (nn.Identity, lambda m, x: torch.linalg.svdvals(x), ("linalg_svd",)),
    "solve": (
        nn.Identity, lambda m, x: torch.linalg.solve(x[..., :8], x), ("linalg_solve",)
    ),
    "outer": (nn.Identity, lambda m, x: torch.outer(x[0, 0, 0], x[0, 0, :, 0]), ("outer",)),
    "ger": (nn.Identity, lambda m, x: torch.ger(x[0, 0, 0], x[0, 0, 1]), ("outer", "ger")),
    "kron": (nn.Identity, lambda m, x: torch.kron(x[0, 0], x[0, 1]), ("outer", "kron")),
    "deformable convolution": (nn.Identity, deformed, ("deform_conv2d",)),
}  # fmt: skip


@pytest.mark.parametrize("name", COUNTED)
def test_products_are_those_counted_by_hand(name):
    make, call, products = COUNTED[name]
    found = tallies(make, call)
    for tool, tally in found.items():
        assert tally.completed * 1e9 == pytest.approx(products, rel=1e-6, abs=0.5), tool
        assert not tally.unknown, tool
    assert not any("nothing explains" in cause for cause in causes(found))


@pytest.mark.parametrize("name", NAMED)
def test_what_no_formula_knows_is_named_by_every_tool(name):
    make, call, parts = NAMED[name]
    found = tallies(make, call)
    for tool, tally in found.items():
        assert any(part in unknown for unknown in tally.unknown for part in parts), tool
        assert not any(part in ignored for ignored in tally.ignored for part in parts), tool
    assert any("no formula is registered for" in cause for cause in causes(found))


def test_a_column_times_a_row_is_an_outer_product():
    def call(_, x):
        y = x * x[:, :1] * x.mean((2, 3), keepdim=True) * 2  # value by value: no value is new
        return y[..., :1] * x[:, :, :1]

    found = tallies(nn.Identity, call)["torch"]
    assert found.unknown == {"aten.outer": 1}
    assert found.ignored["mul"] == 3
    with torch.no_grad(), Watch() as seen, ShapesAlone(seen.note):
        call(None, torch.empty(1, 3, 8, 10, device="meta"))
    assert seen.names() == ("aten.outer",)


def volume(_, x):
    """A cost volume: features by those of the other frame at 9 places."""
    y = F.unfold(x.flip(2), 3, padding=1).view(1, 3, 9, 8, 10)
    return (x[:, :, None] * y).sum(1) / 3


#: products that are summed afterwards
WRITTEN_OUT = {
    "cost volume": volume,
    "correlation": lambda m, x: (x * x.flip(2)).sum(1),
    "mean of products": lambda m, x: (x * x.flip(2)).mean(1, keepdim=True),
    "dynamic filters": lambda m, x: (
        F.unfold(x, 3, padding=1).view(1, 3, 9, 80) * x.new_empty(1, 1, 9, 80).softmax(2)
    ).sum(2),
    "scaled in between": lambda m, x: torch.sum((x * x.flip(2)) / 2 + 1, dim=(2, 3)),
    "two of them": lambda m, x: (x * x.flip(2) + x.roll(1, 2) * x.flip(3)).sum(),
    "grouped": lambda m, x: (x * x.flip(2)).view(1, 3, 4, 2, 10).mean(3),
    "with a weight": lambda m, x: (x * x.new_empty(1, 3, 1, 1)).sum(1),
    "attention over places": lambda m, x: (x * x[:, :1].sigmoid()).mean((2, 3)),
    "addcmul": lambda m, x: torch.addcmul(x, x, x.flip(2)).sum(1),
    "in place": lambda m, x: x.clone().mul_(x.flip(2)).sum(1),
    "over a window": lambda m, x: F.avg_pool2d(x * x.flip(2), 3),
}
#: products and sums that are no products summed
APART = {
    "gate before a pooling": lambda m, x: (x * x.mean((2, 3), keepdim=True)).mean((2, 3)),
    "gate before adaptive pooling": lambda m, x: F.adaptive_avg_pool2d(
        x * F.adaptive_avg_pool2d(x, 1).sigmoid(), 1
    ),
    "variance": lambda m, x: (x * x).mean((2, 3)) - x.mean((2, 3)).square(),
    "activation in between": lambda m, x: (x * x.flip(2)).relu().sum(1),
    "a number": lambda m, x: (x * 2).sum(1),
    "normalisation": lambda m, x: F.normalize(x, dim=1) + x / x.sum(1, keepdim=True),
    "softmax": lambda m, x: x.softmax(1) * x,
    "gate of channels, viewed": lambda m, x: (
        (x * x.mean((2, 3), keepdim=True)).flatten(2).mean(2)
    ),
    "gate of channels over a window": lambda m, x: F.avg_pool2d(
        x * x.mean((2, 3), keepdim=True), 2
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", [*WRITTEN_OUT, *APART])
def test_products_that_are_summed_afterwards_are_named(name):
    """A matrix product written out is no sum of what is left out; a gate and a norm are."""
    call = (WRITTEN_OUT | APART)[name]
    found = tallies(nn.Identity, call)["torch"]
    assert found.unknown == ({"(a * b).sum": 1} if name in WRITTEN_OUT else {})
    with torch.no_grad(), Watch() as seen, ShapesAlone(seen.note):
        call(None, torch.empty(1, 3, 8, 10, device="meta"))
    assert seen.names() == (("(a * b).sum",) if name in WRITTEN_OUT else ())


def test_nothing_is_uncounted_in_the_methods_that_come_with_it():
    """No alarm where there is nothing to be said: gates, attention, warps and norms."""
    variants = ["pspnet", "bisenet", "icnet", "dff", "arseg", "dsrl", "copy", "warp"]
    variants += ["arseg[backbone=bise18]", "arseg[style=semseg]", "dff[motion=codec]"]
    assert {parse_variant(text).name for text in variants} == set(registry.plugins("methods"))
    for text in variants:
        assert count(parse_variant(text), 11, 192, 256).uncounted == (), text


def test_no_operator_is_left_out_for_the_beginning_of_its_name():
    """Operators that torch adds one day under an old beginning may multiply."""
    unknown = ["aten.special_product", "prims.product", "prims.fft_r2c", "prims.svd", "aten.outer"]
    unknown += ["aten.ger", "aten.kron", "aten.linalg_matmul", "aten.linalg_product"]
    assert [name for name in unknown if kind_left_out(name) is not None] == []
    special = [f"aten.special_{name}" for name in torch.special.__all__]
    special = [name for name in special if hasattr(torch.ops.aten, name.partition(".")[2])]
    assert len(special) > 20
    assert [name for name in special if kind_left_out(name) is None] == []
    assert kind_left_out("aten.special_softmax") == "softmax"
    assert kind_left_out("prims.mul") == kind_left_out("prims::mul.default") == "elementwise"


def test_what_the_convention_leaves_out_is_not_named():
    """Normalisation, activations, resizing, pooling, sorting, copies: none of it is unknown."""

    def call(module, x):
        y = F.interpolate(module(x), scale_factor=2, mode="bicubic")
        y = F.pixel_shuffle(F.pad(y, (1, 1, 1, 1), mode="reflect").repeat(1, 4, 1, 1), 2)
        y = F.normalize(y.roll(1, 2), dim=1) * y.std() + y.sort(dim=1).values.cumsum(1)
        y = torch.where(y > 0, F.gelu(y), F.glu(y.repeat(1, 2, 1, 1), 1)).softmax(1)
        y = F.max_pool2d(y, 2) + F.avg_pool2d(y, 2) + y.amax() + y.clamp(0, 1).mean()
        y = torch.stack([y.flip(2), y.abs().sqrt()]).logsumexp(0)
        return torch.cat([y, F.one_hot(y.argmax(1), 4).permute(0, 3, 1, 2)], 1).topk(2, 1).values

    def make():
        return nn.Sequential(nn.GroupNorm(3, 3), nn.InstanceNorm2d(3), nn.PReLU(), nn.Hardswish(),
                             nn.LayerNorm(10), nn.LocalResponseNorm(2), nn.Dropout2d())  # fmt: skip

    for tool, tally in tallies(make, call).items():
        assert not tally.unknown, tool
        assert tally.products == 0


#: a method of a package elsewhere: a convolution on a Fourier transform, and a layer that a formula
#: knows
SPECTRAL = """
import torch
from torch import nn
from vssbench.core.segmenter import VideoSegmenter


class Spectral(VideoSegmenter):
    display = "Spectral"

    def __init__(self, classes):
        super().__init__(classes)
        self.layer, self.mix = nn.Conv2d(3, classes, 1), nn.Bilinear(classes, classes, classes)

    def keyframe(self, image):
        spectrum = torch.fft.fft2(self.normalise(image))
        x = self.layer(torch.fft.ifft2(spectrum).real).permute(0, 2, 3, 1)
        return self.mix(x, x).permute(0, 3, 1, 2), None
"""


@pytest.fixture
def spectral(tmp_path, monkeypatch):
    (tmp_path / "spectral_plug_in.py").write_text(SPECTRAL)
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("spectral", "spectral_plug_in:Spectral", "vssbench.methods")
    monkeypatch.setattr(
        registry, "entry_points", lambda group: [point] if group == point.group else []
    )
    caches = (registry.plugins, registry.load)
    for cache in caches:
        cache.cache_clear()
    yield registry.load("methods", "spectral")
    monkeypatch.undo()
    for cache in caches:
        cache.cache_clear()
    sys.modules.pop("spectral_plug_in", None)


def test_cost_and_a_run_name_what_is_missing(spectral, tmp_path):
    size, classes = (64, 96), 11
    cost = count(Variant("spectral"), classes, *size)
    assert cost.uncounted == ("aten._fft_c2c",)
    assert cost.gmacs_key == pytest.approx(prod(size) * (3 * classes + classes**3) / 1e9)
    command = ["cost", "-m", "spectral", "-m", "pspnet[width=0.1]", "--size", "64x96"]
    shown = CliRunner().invoke(bench, command, catch_exceptions=False).stdout
    assert "GMACs of spectral leave out aten._fft_c2c, for which no" in shown
    assert "GMACs of pspnet" not in shown
    for convention in ("macs", "arseg"):
        line = [*command, "--json", "--convention", convention]
        rows = json.loads(CliRunner().invoke(bench, line, catch_exceptions=False).stdout)
        assert rows[0]["uncounted"] == ["aten._fft_c2c"]
        assert rows[1]["uncounted"] == []
    weights, runs = tmp_path / "spectral.safetensors", tmp_path / "runs"
    torch.save(spectral(classes).state_dict(), tmp_path / "spectral.pth")
    line = ["weights", "convert", "spectral", str(tmp_path / "spectral.pth"), "-o", str(weights)]
    result = CliRunner().invoke(bench, [*line, "--classes", str(classes)])
    assert result.exit_code == 0, result.output
    line = ["run", "-m", "spectral", "-c", "raw", "--runs", str(runs)]
    line += ["-d", "synthetic[height=64,width=96,clips=1,frames=2]", "--weights", str(weights)]
    result = CliRunner().invoke(bench, line)
    assert result.exit_code == 0, result.output
    (run,) = RunStore(runs).runs()
    assert any("leave out aten._fft_c2c" in remark for remark in run.measurement.remarks)
    assert "leave out aten._fft_c2c" in " ".join(result.stdout.split())
