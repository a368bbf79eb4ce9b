"""Networks and layers whose gradients this processor's own kernels get wrong are trained right."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from torch import nn

from tests.datasets import fakes
from tests.training.checking import checked
from vssbench.cli import bench
from vssbench.core import registry
from vssbench.core.segmenter import Batch
from vssbench.core.variant import parse_variant
from vssbench.training.gradients import right_gradients
from vssbench.weights.file import open_weights


def batch(size, classes=8, number=2) -> Batch:
    generator = torch.Generator().manual_seed(2)
    image = torch.rand(number, 3, *size, generator=generator).contiguous(
        memory_format=torch.channels_last
    )
    return Batch(
        image, torch.randint(0, classes, (number, *size), generator=generator), torch.ones(classes)
    )


def layer_cosines(model: nn.Module) -> dict[str, float]:
    """Return, for every convolution by itself, the cosine of its weight's gradient as it is trained
    with the exact one."""
    seen: dict[str, tuple] = {}

    def note(module, given, result):
        seen.setdefault(names[module], (module, given[0].detach(), torch.randn_like(result)))

    names = {
        module: name for name, module in model.named_modules() if isinstance(module, nn.Conv2d)
    }
    for module in names:
        module.register_forward_hook(note)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        model.loss(model.phases()[0], batch((192, 256)))
    cosines = {}
    for name, (module, x, outer) in seen.items():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            (found,) = torch.autograd.grad(module(x), module.weight, outer)
        given = (module.stride, module.padding, module.dilation, module.groups)
        exact = torch.nn.grad.conv2d_weight(
            x.float().contiguous(), module.weight.shape, outer.float().contiguous(), *given
        )
        assert found.isfinite().all(), name
        cosines[name] = float(F.cosine_similarity(found.flatten(), exact.flatten(), 0))
    return cosines


@pytest.mark.parametrize("method", ["pspnet[width=0.1]", "icnet[width=0.3]"])
def test_every_layer_of_a_narrow_network_has_the_right_gradient(method):
    """Channels that are no multiple of 16, dilated: torch 2.13 leaves parts of these gradients
    unwritten on AVX-512."""
    torch.manual_seed(0)
    model = (
        registry.create("methods", parse_variant(method), classes=8)
        .to(memory_format=torch.channels_last)
        .train()
    )

    def loss():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return sum(model.loss(model.phases()[0], batch((192, 256))).values())

    found = right_gradients(model, loss, "cpu", "bf16")
    assert not found.wrong
    assert not found.unchecked
    cosines = layer_cosines(model)
    assert len(cosines) > 15
    assert min(cosines.values()) >= 0.97, cosines


@pytest.mark.parametrize(
    ("channels", "groups", "dilation"), [(24, 1, 2), (56, 1, 2), (64, 64, 2), (32, 32, 4)]
)
def test_dilated_layers_of_any_plug_in(channels, groups, dilation):
    """ESPNet's and CGNet's kind: after the check no draw of random values gives a gradient that is
    wrong."""
    torch.manual_seed(0)
    layer = nn.Conv2d(
        channels, channels, 3, padding=dilation, dilation=dilation, groups=groups, bias=False
    )
    model = nn.Sequential(layer).to(memory_format=torch.channels_last)
    shape = (2, channels, 24, 32)
    checked(model, shape)
    for _ in range(3):
        x = torch.randn(shape).to(torch.bfloat16).contiguous(memory_format=torch.channels_last)
        outer = torch.randn(shape).to(torch.bfloat16).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            (found,) = torch.autograd.grad(model(x), layer.weight, outer)
        exact = torch.nn.grad.conv2d_weight(
            x.float().contiguous(),
            layer.weight.shape,
            outer.float().contiguous(),
            1,
            dilation,
            dilation,
            groups,
        )
        assert float(F.cosine_similarity(found.flatten(), exact.flatten(), 0)) >= 0.97


@pytest.mark.parametrize(
    "method", ["pspnet[width=0.05]", "pspnet[width=0.15]", "pspnet[width=0.2]", "icnet[width=0.3]"]
)
def test_narrow_networks_train_to_an_end_in_bf16(method, tmp_path, monkeypatch):
    """By the command and its defaults, layout and precision among them: where the processor's
    kernels leave gradients unwritten, all of these were NaN at once, or wrong."""
    monkeypatch.chdir(tmp_path)
    clip, size = tmp_path / "mine" / "drive", (256, 192)
    for number in range(2):
        fakes.save(clip / "frames" / f"{number}.png", fakes.scene(number, size))
        fakes.save(clip / "labels" / f"{number}.png", fakes.mask([0, 1, 2], number, size))
    (tmp_path / "mine" / "classes.txt").write_text("road\ncar\nsky\n")
    (tmp_path / "mine" / "train.txt").write_text("drive\n")
    line = ["train", method, "-d", "folder", "--data-root", "mine", "--iterations", "2"]
    line += ["--batch", "2", "--crop", "192x256", "--all-training-data", "--workers", "0"]
    result = CliRunner().invoke(bench, [*line, "--out", "w.safetensors"])
    assert result.exit_code == 0, (result.output, result.exception)
    file = open_weights(tmp_path / "w.safetensors")
    assert file.training["recipe"]["precision"] == "bf16"
    assert all(value.isfinite().all() for value in file.tensors().values())
