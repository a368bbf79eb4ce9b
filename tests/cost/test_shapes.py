"""Shapes without work, against torch's own; anything that is not on the meta device runs as ever."""

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from vssbench.cost.shapes import ShapesAlone


@pytest.mark.parametrize(
    "given",
    [
        {"size": (7, 5)}, {"size": 9}, {"scale_factor": 2}, {"scale_factor": 0.5, "mode": "bilinear", "align_corners": False},
        {"scale_factor": (1.5, 2.0)}, {"size": (3, 11), "mode": "bilinear", "align_corners": True},
    ],
)  # fmt: skip
def test_resizing(given):
    real = F.interpolate(torch.zeros(2, 3, 9, 13), **given)
    with ShapesAlone():
        assert F.interpolate(torch.empty(2, 3, 9, 13, device="meta"), **given).shape == real.shape


def test_layers_keep_their_shape():
    network = torch.nn.Sequential(torch.nn.BatchNorm2d(3), torch.nn.ReLU(), torch.nn.PReLU(), torch.nn.LeakyReLU()).eval()
    with ShapesAlone(), torch.no_grad():
        assert network.to("meta")(torch.empty(2, 3, 4, 5, device="meta")).shape == (2, 3, 4, 5)


@pytest.mark.parametrize(
    "made",
    [
        lambda x: x + x[:, :1], lambda x: x[:1, :, :1] * x, lambda x: x - 1, lambda x: 1 - x, lambda x: x / x.int(),
        lambda x: x.int() + x, lambda x: torch.cat([x, x[:, :2]], 1), lambda x: torch.cat((x, x), -1), lambda x: x.mean(),
        lambda x: x.mean((2, 3), keepdim=True), lambda x: x.mean(-1), lambda x: F.adaptive_avg_pool2d(x, 1),
        lambda x: F.adaptive_avg_pool2d(x, (None, 3)), lambda x: F.softmax(x, 1), lambda x: torch.sigmoid(x),
    ],
)  # fmt: skip
def test_sums_and_means(made):
    real = made(torch.ones(2, 3, 4, 5))
    with ShapesAlone():
        found = made(torch.empty(2, 3, 4, 5, device="meta"))
    assert (found.shape, found.dtype, found.device.type) == (real.shape, real.dtype, "meta")


@pytest.mark.parametrize("made", [lambda x: torch.cat([x, x[:, :, 1:]], 1), lambda x: x + x[:, :2], lambda x: torch.cat([], 1)])
def test_parts_that_do_not_fit_are_refused_as_ever(made):
    with ShapesAlone(), pytest.raises((RuntimeError, ValueError)):
        made(torch.empty(2, 3, 4, 5, device="meta"))


def test_counting_does_not_import_the_compiler():
    """It takes one to two seconds, once in every process."""
    code = (
        "import sys; from vssbench.cost.gmacs import count; from vssbench.variant import parse_variant as parse\n"
        "for text in ('pspnet', 'arseg', 'bisenet', 'icnet', 'dff', 'dsrl'): count(parse(text), 11, 192, 256)\n"
        "print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "False"


def test_real_tensors_are_computed():
    x = torch.tensor([[-1.0, 2.0]])
    with ShapesAlone():
        assert F.relu(x).tolist() == [[0.0, 2.0]]


def test_a_resize_to_nothing_is_refused_as_ever():
    with ShapesAlone(), pytest.raises(RuntimeError, match="greater than"):
        F.interpolate(torch.empty(1, 1, 4, 4, device="meta"), size=(0, 4))
