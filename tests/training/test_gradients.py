"""The check of each layer's gradient: it finds what is wrong, mends it, and leaves everything else
as it was."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.training.checking import checked, loss_of
from vssbench.core import registry
from vssbench.core.errors import UsageError
from vssbench.core.variant import parse_variant
from vssbench.training.gradients import Findings, right_gradients
from vssbench.training.loop import Trainer
from vssbench.training.options import Options
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
