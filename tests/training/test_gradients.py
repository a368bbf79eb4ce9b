"""The check of each layer's gradient: it finds what is wrong, mends it, and leaves everything else
as it was."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from torch import nn

from tests.datasets import fakes
from vssbench.cli import bench
from vssbench.core import registry
from vssbench.core.errors import UsageError
from vssbench.core.segmenter import Batch
from vssbench.core.variant import parse_variant
from vssbench.training.gradients import Findings, right_gradients
from vssbench.training.kept import Kept
from vssbench.training.loop import Trainer
from vssbench.training.options import Options
from vssbench.training.overruns import overrunning
from vssbench.training.steps import Steps
from vssbench.weights.file import open_weights


class Wrong(torch.autograd.Function):
    """A convolution whose weight's gradient is wrong: of half its kernels, in what ``where``
    says."""

    @staticmethod
    def forward(ctx, x, weight, where):
        ctx.save_for_backward(x, weight)
        ctx.where = where
        return F.conv2d(x, weight.to(x.dtype), padding=1)

    @staticmethod
    def backward(ctx, outer):
        x, weight = ctx.saved_tensors
        exact = torch.nn.grad.conv2d_weight(x.float(), weight.shape, outer.float(), padding=1)
        last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
        low = x.dtype != torch.float32
        if {"channels-last": last, "low precision": low, "nan": last}[ctx.where]:
            exact[::2] = float("nan") if ctx.where == "nan" else exact[::2].flip(0)
        return (
            torch.nn.grad.conv2d_input(x.shape, weight.float(), outer.float(), padding=1).to(
                x.dtype
            ),
            exact,
            None,
        )


class Planted(nn.Conv2d):
    where = "channels-last"

    def forward(self, x):
        return Wrong.apply(x, self.weight, self.where)


class Functional(nn.Module):
    """A block that uses the weight of a layer that it never calls."""

    def __init__(self, where):
        super().__init__()
        self.conv, self.where = nn.Conv2d(8, 8, 3, bias=False), where

    def forward(self, x):
        return Wrong.apply(x, self.conv.weight, self.where)


def network(planted: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    layers = [
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.PReLU(), planted, nn.Conv2d(8, 16, 3,
        padding=1, groups=8),
        nn.ConvTranspose2d(16, 8, 2, stride=2), nn.Dropout(0.5), nn.AdaptiveAvgPool2d(1),
        nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8),
        nn.Flatten(), nn.Linear(8, 1),
    ]  # fmt: skip
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def checked(model: nn.Module, shape=(2, 3, 12, 16), **more) -> Findings:
    image = torch.rand(shape, generator=torch.Generator().manual_seed(1)).contiguous(
        memory_format=torch.channels_last
    )
    return right_gradients(model, lambda: loss_of(model, image), "cpu", "bf16", **more)


def loss_of(model: nn.Module, image: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return model(image).float().square().sum()


def planted(where: str) -> Planted:
    layer = Planted(8, 8, 3, padding=1, bias=False)
    layer.where = where
    return layer


@pytest.mark.parametrize(
    ("where", "form"),
    [("channels-last", "NCHW"), ("nan", "NCHW"), ("low precision", "fp32 and NCHW")],
)
def test_a_planted_wrong_layer_is_found_and_kept_right(where, form):
    model = network(planted(where))
    names = list(model.state_dict())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    found = checked(model)
    assert found.kept == {"3": form}
    assert not found.wrong
    assert not found.unchecked
    assert f"trained in {form}: 3" in found.line("bf16")
    # names, values, statistics and random numbers are as before
    assert list(model.state_dict()) == names
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert isinstance(model[3], Planted)
    # a second check starts from the network's own layers, and a copy of the network is one of its
    # own
    assert checked(copy.deepcopy(model)).kept == {"3": form}


def test_a_kept_layer_gives_the_exact_gradient_and_hands_on_the_layout():
    model = network(planted("channels-last"))
    checked(model)
    x = torch.randn(2, 8, 12, 16).to(torch.bfloat16).contiguous(memory_format=torch.channels_last)
    result = model[3](x)
    assert result.is_contiguous(memory_format=torch.channels_last)
    outer = torch.randn_like(result)
    result.backward(outer)
    exact = torch.nn.grad.conv2d_weight(x.float(), model[3].weight.shape, outer.float(), padding=1)
    assert torch.allclose(model[3].weight.grad, exact, rtol=1e-3, atol=1e-3)


def test_a_weight_used_without_a_call_of_its_layer_is_checked_too():
    assert checked(network(Functional("channels-last"))).kept == {"3": "NCHW"}


def test_right_layers_are_left_alone():
    model = network(nn.Conv2d(8, 8, 3, padding=1))
    kinds = [type(module) for module in model.modules()]
    found = checked(model)
    assert found == Findings()
    assert found.record() == {}
    assert found.line("bf16") == ""
    assert [type(module) for module in model.modules()] == kinds


def test_a_resumed_training_keeps_the_form_it_began_with():
    """Even where this time memory happened to hold the right values."""
    assert checked(network(nn.Conv2d(8, 8, 3, padding=1)), known={"3": "NCHW"}).kept == {
        "3": "NCHW"
    }
    assert checked(network(planted("channels-last")), known={"3": "fp32 and NCHW"}).kept == {
        "3": "fp32 and NCHW"
    }


def convolutions() -> nn.Sequential:
    """Two whose weights' gradient is computed beyond its memory by some kernels, in bf16 and in any
    precision, among others that are like them."""
    layers = {
        "first": nn.Conv2d(3, 12, 3, stride=2, padding=1),
        "strided": nn.Conv2d(12, 24, 1, stride=2),
        "dilated": nn.Conv2d(24, 32, 3, padding=2, dilation=2),
        "whole": nn.Conv2d(32, 32, 3, padding=2, dilation=2),
        "many": nn.Conv2d(32, 16, 1, stride=2),
        "dense": nn.Conv2d(16, 12, 3, padding=1),
        "plain": nn.Conv2d(12, 8, 1),
    }
    torch.manual_seed(0)
    model = nn.Sequential()
    for name, layer in layers.items():
        model.add_module(name, layer)
    return model.to(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("precision", "names"), [("bf16", {"strided", "dilated"}), ("fp32", {"strided"})]
)
def test_what_kernels_compute_beyond_its_memory_is_never_run_in_channels_last(precision, names):
    """Not in the pass that comes before the check either."""
    model = convolutions()
    image = torch.rand(2, 3, 32, 48).contiguous(memory_format=torch.channels_last)
    in_pass = []

    def kept():
        return {name for name, each in model.named_children() if isinstance(each, Kept)}

    def loss():
        in_pass.append(kept())
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            return model(image).float().square().sum()

    found = right_gradients(model, loss, "cpu", precision)
    assert in_pass == [names]
    assert names <= found.kept.keys() == kept()
    assert "NCHW" in found.line(precision)
    # one whose weights are not trained has no such gradient
    model.strided.weight.requires_grad_(False)
    assert "strided" not in right_gradients(model, loss, "cpu", precision).kept
    assert "strided" not in kept()
    assert overrunning(model, "cuda", precision) == {}


class Stubborn(nn.Linear):
    """Takes no random values."""

    def forward(self, x):
        if x.abs().max() > 1:
            raise ValueError("expected probabilities")
        return super().forward(x)


def test_a_layer_that_cannot_be_run_by_itself_is_named():
    model = nn.Sequential(nn.Flatten(), nn.Sigmoid(), Stubborn(64, 1))
    image = torch.rand(2, 1, 8, 8)
    found = right_gradients(model, lambda: loss_of(model, image), "cpu", "bf16")
    assert found.unchecked == ("2",)
    assert found.line("bf16") == "gradients that could not be checked: 2"


def test_a_diverged_training_names_the_layers_in_doubt_before_the_rate(
    stills, tmp_path, monkeypatch
):
    options = Options(epochs=2, batch=4, crop=(48, 64), workers=0, learning_rate=1e30)
    started = Trainer(
        parse_variant("bisenet[width=0.125]"),
        parse_variant("patterns"),
        stills,
        options,
        tmp_path / "w.safetensors",
    )
    doubt = Findings({}, ("net.stem",), ("net.head", "net.final"))
    check = Steps.check

    def with_doubt(steps, number, sample, known):
        check(steps, number, sample, known)
        steps.findings = doubt
        return doubt

    monkeypatch.setattr(Steps, "check", with_doubt)
    with pytest.raises(UsageError, match="training diverged") as caught:
        started.run()
    words = str(caught.value)
    places = [words.index(each) for each in ("net.stem", "net.head, net.final", "--precision fp32")]
    assert [*places, words.index("--lr")] == sorted([*places, words.index("--lr")])


def test_layers_in_doubt_are_named_with_what_helps():
    right = Findings({"2": "NCHW"})
    assert right.doubt("bf16") == right.doubt("fp32") == ""
    wrong, unchecked = Findings({}, ("a", "b")), Findings({}, (), ("c",))
    assert "in every precision and layout that was tried: a, b" in wrong.doubt("bf16")
    assert "--precision fp32" not in wrong.doubt("bf16")
    assert "another version of torch" in wrong.doubt("bf16")
    assert "could not be checked: c: train anew with --precision fp32" in unchecked.doubt("bf16")
    assert "--precision" not in unchecked.doubt("fp32")
    assert "another version of torch" in unchecked.doubt("fp32")


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


def test_training_says_what_it_changed_and_records_it(stills, tmp_path, capsys, monkeypatch):
    create = registry.create

    def with_a_wrong_layer(kind, *arguments, **more):
        made = create(kind, *arguments, **more)
        if kind == "methods":
            convolution = next(
                m for m in made.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)
            )
            convolution.__class__ = Strided
        return made

    monkeypatch.setattr(registry, "create", with_a_wrong_layer)
    options = Options(epochs=1, batch=4, crop=(48, 64), workers=0)
    made = Trainer(
        parse_variant("bisenet[width=0.125]"),
        parse_variant("patterns"),
        stills,
        options,
        tmp_path / "w.safetensors",
    )
    name = next(name for name, module in made.model.named_modules() if isinstance(module, Strided))
    path = made.run()[0]
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "wrong gradients" in line]
    assert name in line
    file = open_weights(path)
    assert name in file.training["gradients"]["task"]["kept"]
    assert f"{name}.weight" in file.tensors()


class Strided(nn.Conv2d):
    """A convolution of any setting whose weight's gradient is NaN in channels-last."""

    def forward(self, x):
        last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
        weight = self.weight
        if last:
            weight = weight * 1
            weight.register_hook(lambda gradient: gradient * float("nan"))
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


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
