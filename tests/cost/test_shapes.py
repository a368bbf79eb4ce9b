"""Shapes without work, against torch's own; anything that is not on the meta device runs as
ever."""

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from vssbench.cost.shapes import ShapesAlone


@pytest.mark.parametrize(
    "given",
    [
        {"size": (7, 5)},
        {"size": 9},
        {"scale_factor": 2},
        {"scale_factor": 0.5, "mode": "bilinear", "align_corners": False},
        {"scale_factor": (1.5, 2.0)},
        {"size": (3, 11), "mode": "bilinear", "align_corners": True},
    ],
)
def test_resizing(given):
    real = F.interpolate(torch.zeros(2, 3, 9, 13), **given)
    with ShapesAlone():
        assert F.interpolate(torch.empty(2, 3, 9, 13, device="meta"), **given).shape == real.shape


def test_layers_keep_their_shape():
    network = torch.nn.Sequential(
        torch.nn.BatchNorm2d(3), torch.nn.ReLU(), torch.nn.PReLU(), torch.nn.LeakyReLU()
    ).eval()
    with ShapesAlone(), torch.no_grad():
        assert network.to("meta")(torch.empty(2, 3, 4, 5, device="meta")).shape == (2, 3, 4, 5)


@pytest.mark.parametrize(
    "made",
    [
        lambda x: x + x[:, :1],
        lambda x: x[:1, :, :1] * x,
        lambda x: x - 1,
        lambda x: 1 - x,
        lambda x: x / x.int(),
        lambda x: x.int() + x,
        lambda x: torch.cat([x, x[:, :2]], 1),
        lambda x: torch.cat((x, x), -1),
        lambda x: x.mean(),
        lambda x: x.mean((2, 3), keepdim=True),
        lambda x: x.mean(-1),
        lambda x: F.adaptive_avg_pool2d(x, 1),
        lambda x: F.adaptive_avg_pool2d(x, (None, 3)),
        lambda x: F.softmax(x, 1),
        lambda x: torch.sigmoid(x),
    ],
)
def test_sums_and_means(made):
    real = made(torch.ones(2, 3, 4, 5))
    with ShapesAlone():
        found = made(torch.empty(2, 3, 4, 5, device="meta"))
    assert (found.shape, found.dtype, found.device.type) == (real.shape, real.dtype, "meta")


def wide(x):
    """A tensor of another type without sides: as a plain number, it has no say in the result's
    type."""
    return torch.tensor(2.0, dtype=torch.float64, device=x.device)


def last(x):
    return x.to(memory_format=torch.channels_last)


def norm(x):
    return F.batch_norm(x, torch.zeros(3, device=x.device), torch.ones(3, device=x.device))


@pytest.mark.parametrize(
    "made",
    [
        # types
        lambda x: x * wide(x),
        lambda x: wide(x) * x,
        lambda x: x.half() * wide(x),
        lambda x: x.half() + x,
        lambda x: x.bfloat16() * 2.5,
        lambda x: x.int() * 0.5,
        lambda x: x.int() / 2,
        lambda x: x.int() / x.int(),
        lambda x: (x > 0) + 1,
        lambda x: (x > 0) * x,
        lambda x: 0.5 * x.int(),
        lambda x: x * 1j,
        lambda x: x * wide(x).expand(5),
        lambda x: torch.cat([x.int(), x], 1),
        lambda x: x.mean(dtype=torch.float64),
        lambda x: F.softmax(x, 1, dtype=torch.float64),
        lambda x: torch.sigmoid(x.int()),
        lambda x: x.int().div(x.int(), rounding_mode="floor"),
        lambda x: x + torch.tensor(1),
        # arguments by numpy's names, by keyword, or of no usual kind
        lambda x: torch.cat([x, x], axis=1),
        lambda x: torch.cat(tensors=[x, x], dim=2),
        lambda x: x.mean(axis=(2, 3)),
        lambda x: x.mean((2, 3), keepdims=True),
        lambda x: x.mean([]),
        lambda x: x.add(other=x),
        lambda x: x.add(x, alpha=2),
        lambda x: torch.cat([torch.empty(0, device=x.device), x], 1),
        lambda x: F.relu(input=x),
        lambda x: torch.add(x, x),
        lambda x: sum([x, x, x]),
        lambda x: F.interpolate(x, scale_factor=1.3, recompute_scale_factor=True),
        lambda x: F.interpolate(x, scale_factor=2, mode="bicubic"),
        lambda x: F.interpolate(x[0], size=9, mode="linear"),
        lambda x: F.interpolate(x, [7, 8], mode="bilinear", antialias=True),
        lambda x: F.adaptive_avg_pool2d(x[0], 2),
        # in place, and operators written as sums of products
        lambda x: F.relu(x, inplace=True),
        lambda x: x.clone().add_(1),
        lambda x: torch.einsum("nchw,nkhw->nck", x, x),
        # views, and in what order results lie, by which a view of them is had or refused
        lambda x: F.relu(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).view(2, -1),
        lambda x: (x.permute(0, 2, 3, 1) + 1) * x[0, 0, 0, :3],
        lambda x: x + last(x),
        lambda x: last(x) + x,
        lambda x: x[:1, :, :1, :1] + last(x),
        lambda x: F.softmax(last(x), 1),
        lambda x: F.relu(x[:, :, 1:, 1:]),
        lambda x: last(x)[:, :, 1:] + x[:, :, 1:],
        lambda x: torch.cat([last(x), last(x)], 1),
        lambda x: torch.cat([x[:, :, 1:], x[:, :, :-1]], 1),
        lambda x: x[:1].expand(2, 3, 4, 5) + x,
        lambda x: norm(last(x)),
        lambda x: norm(x[:, :, 1:]),
        lambda x: F.prelu(last(x), torch.ones(3, device=x.device)),
        lambda x: last(x).mean(1, True),
        lambda x: F.adaptive_avg_pool2d(last(x), 2),
        lambda x: F.interpolate(last(x), scale_factor=2, mode="bilinear"),
        lambda x: x.permute(3, 2, 0, 1).mean(1),
        lambda x: F.relu(x[0, 0].t()),
        lambda x: x.flip(1) + x,
    ],
)
def test_code_in_other_styles(made):
    x = torch.empty(2, 3, 4, 5, device="meta")
    expected = made(x)
    with ShapesAlone():
        found = made(x)
    assert (found.shape, found.dtype, found.stride()) == (
        expected.shape,
        expected.dtype,
        expected.stride(),
    )
    real = made(torch.ones(2, 3, 4, 5))
    assert (found.shape, found.dtype) == (real.shape, real.dtype)


@pytest.mark.parametrize(
    "made",
    [
        lambda x: torch.cat([x, x[:, :, 1:]], 1),
        lambda x: torch.cat([], 1),
        lambda x: torch.cat([x, x], 7),
        lambda x: torch.cat([x, x[0]], 1),
        lambda x: x + x[:, :2],
        lambda x: x + torch.ones(4, 5),
        lambda x: (x > 0) - (x > 0),
        lambda x: x.mean(9),
        lambda x: x.mean((1, 1)),
        lambda x: x.int().mean(),
        lambda x: F.interpolate(x),
        lambda x: F.interpolate(x, size=(5,)),
        lambda x: F.interpolate(x, size=(3, 3), scale_factor=2),
        lambda x: F.interpolate(x, size=(2.5, 3)),
        lambda x: F.interpolate(x, size=(3, 3), align_corners=True),
        lambda x: F.interpolate(x, size=(3, 3), mode="linear"),
        lambda x: F.interpolate(x[0], size=(3, 3), mode="bilinear"),
        lambda x: F.adaptive_avg_pool2d(x, (2,)),
        lambda x: F.adaptive_avg_pool2d(x, None),
        lambda x: F.adaptive_avg_pool2d(x[0, 0], 2),
        lambda x: norm(x[:, :2]),
        lambda x: norm(x[0, 0]),
        lambda x: F.prelu(x, torch.ones(7, device=x.device)),
        lambda x: F.relu(x.permute(0, 2, 3, 1)).view(2, -1),
        lambda x: x.add("a"),
    ],
)
def test_what_torch_refuses_is_refused_as_ever(made):
    x = torch.empty(2, 3, 4, 5, device="meta")
    with pytest.raises((RuntimeError, ValueError, TypeError, IndexError)) as expected:
        made(x)
    with ShapesAlone(), pytest.raises(type(expected.value)) as found:
        made(x)
    assert str(found.value) == str(expected.value)


def imports_compiler(code):
    """Return whether torch's compiler is imported by code that runs in a process of its own."""
    told = f"{code}print('torch._dynamo' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", told], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() in ("False", "True")
    return done.stdout.strip() == "True"


def test_counting_does_not_import_the_compiler():
    """It takes one to two seconds, once in every process."""
    code = (
        "import sys; from vssbench.cost.gmacs import count; from vssbench.core.variant import "
        "parse_variant as parse\n"
        "for text in ('pspnet', 'arseg', 'bisenet', 'icnet', 'dff', 'dsrl', 'warp', 'copy'): "
        "count(parse(text), 11, 192, 256)\n"
    )
    assert not imports_compiler(code)


def test_operators_that_torch_writes_in_python_do_not_import_the_compiler():
    """A plug-in may use any of them."""
    code = (
        "import sys, torch; from vssbench.cost.shapes import ShapesAlone\n"
        "x = torch.zeros(4, 5, device='meta')\n"
        "with ShapesAlone():\n"
        "    for found in (x.round(), x.trunc(), x.frac(), torch.where(x > 0, x, -x),\n"
        "                  torch.lerp(x, x, 0.5), x.var(), x.std(), torch.var_mean(x)[0],\n"
        "                  torch.div(x, 2, rounding_mode='floor'), x % 2, x.nan_to_num(),\n"
        "                  x.normal_(), x.roll(1, 0), x.clamp(0, 1), x.cumsum(0), x.norm()):\n"
        "        assert found.is_meta\n"
    )
    assert not imports_compiler(code)


def test_real_tensors_are_computed():
    x = torch.tensor([[-1.0, 2.0]])
    with ShapesAlone():
        assert F.relu(x).tolist() == [[0.0, 2.0]]


def test_a_resize_to_nothing_is_refused_as_ever():
    with ShapesAlone(), pytest.raises(RuntimeError, match="greater than"):
        F.interpolate(torch.empty(1, 1, 4, 4, device="meta"), size=(0, 4))
