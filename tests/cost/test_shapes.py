"""Shapes without work, against torch's own; anything that is not on the meta device runs as ever."""

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


def test_real_tensors_are_computed():
    x = torch.tensor([[-1.0, 2.0]])
    with ShapesAlone():
        assert F.relu(x).tolist() == [[0.0, 2.0]]


def test_a_resize_to_nothing_is_refused_as_ever():
    with ShapesAlone(), pytest.raises(RuntimeError, match="greater than"):
        F.interpolate(torch.empty(1, 1, 4, 4, device="meta"), size=(0, 4))
