"""The fast form against the form as written: every method, and networks that must not be
changed."""

import copy
import logging

import pytest
import torch
from torch import nn

from vssbench.core import registry
from vssbench.core.variant import Variant, parse_variant
from vssbench.fast.pooled_conv import PooledConv
from vssbench.fast.prepare import fold_batch_norms, prepare
from vssbench.fast.upsampled_conv import UpsampledConv
from vssbench.nets.pspnet import UpsampleStage

VARIANTS = [
    *sorted(registry.plugins("methods")),
    "arseg[backbone=bise18]",
    "arseg[warp=paper]",
    "arseg[style=semseg]",
    "icnet[form=liminn]",
    "icnet[form=mmseg]",
    "pspnet[style=mmseg]",
    "pspnet[style=semseg]",
]


def build(text: str):
    torch.manual_seed(0)
    variant = parse_variant(text)
    if "width" in registry.parameters(registry.load("methods", variant.name)):
        variant = Variant(variant.name, {**variant.params, "width": 0.125})
    model = registry.create("methods", variant, classes=5).eval()
    for norm in model.modules():
        # as after training: none of its numbers is that of a new one
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_(0, 0.1)
            norm.running_var.uniform_(0.5, 2)
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, 0, 0.1)
    return model


def close(found, expected):
    return (
        found.shape == expected.shape
        and (found - expected).abs().max() <= 1e-4 * expected.abs().max()
    )


@torch.no_grad()
@pytest.mark.parametrize("text", VARIANTS)
def test_every_method_keeps_its_outputs(text, caplog):
    model = build(text)
    fast = prepare(copy.deepcopy(model))
    images, motion = torch.rand(2, 1, 3, 75, 101), 3 * torch.randn(1, 2, 75, 101)
    expected, reference = model.keyframe(images[0])
    found, fast_reference = fast.keyframe(images[0])
    assert close(found, expected)
    assert close(
        fast.nonkeyframe(images[1], motion, fast_reference),
        model.nonkeyframe(images[1], motion, reference),
    )
    assert not caplog.records
    # no batch norm of theirs follows a sum or a concatenation
    if text.startswith(("arseg", "bisenet", "icnet", "pspnet")):
        left = [name for name, module in fast.named_modules() if isinstance(module, nn.BatchNorm2d)]
        assert all(name.startswith(tuple(model.training_only())) for name in left)


def probed(network: nn.Module):
    x = torch.rand(1, 3, 12, 14, generator=torch.Generator().manual_seed(1))
    return lambda: network(x)


class Tapped(nn.Module):
    """A convolution whose output is used past its batch norm too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn, self.other = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.BatchNorm2d(4)

    def forward(self, x):
        y = self.conv(x)
        return self.bn(y) + y.sigmoid()


class Returned(Tapped):
    def forward(self, x):
        y = self.conv(x)
        return self.bn(y), y


class TwoNorms(Tapped):
    """One convolution for two scales, a batch norm for each."""

    def forward(self, x):
        return self.bn(self.conv(x)).sum() + self.other(self.conv(x[..., 1:])).sum()


class Functional(Tapped):
    """The convolution's weights are used without the module as well."""

    def forward(self, x):
        return self.bn(self.conv(x)) + nn.functional.conv2d(x, self.conv.weight)


class InPlace(Tapped):
    def forward(self, x):
        y = self.conv(x)
        y += 1
        return self.bn(y)


class Cast(nn.Module):
    """A batch norm that is not a module."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x):
        return nn.functional.batch_norm(self.conv(x), self.bn.running_mean, self.bn.running_var)


def shuffled(network: nn.Module) -> nn.Module:
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
    return network.eval()


@torch.no_grad()
@pytest.mark.parametrize("kind", [Tapped, Returned, TwoNorms, Functional, InPlace, Cast])
def test_what_must_not_be_folded_is_not(kind):
    torch.manual_seed(0)
    network = shuffled(kind())
    assert fold_batch_norms(network, probed(network)) == []


def test_tied_weights_are_not_folded():
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3)
    second.weight = first.weight
    network = shuffled(nn.Sequential(first, nn.BatchNorm2d(3), second, nn.BatchNorm2d(3)))
    assert fold_batch_norms(network, probed(network)) == []


@torch.no_grad()
def test_a_module_called_twice_under_two_names_is_folded_once():
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(3, 3, 3, bias=False), nn.BatchNorm2d(3)
    network = shuffled(nn.Sequential(conv, norm, nn.ReLU(), conv, norm))
    expected = probed(network)()
    prepare(network, probed(network))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    assert torch.allclose(probed(network)(), expected, atol=1e-5)


@torch.no_grad()
def test_a_change_that_alters_outputs_is_taken_back(caplog):
    """A batch norm that the network reads by itself: the module is gone after folding."""

    class Reads(Tapped):
        def forward(self, x):
            return self.bn(self.conv(x)) * self.bn.weight.sum()

    torch.manual_seed(0)
    network = shuffled(Reads())
    expected, before = probed(network)(), copy.deepcopy(network.state_dict())
    with caplog.at_level(logging.WARNING):
        prepare(network, probed(network))
    assert "fold batch norms" in caplog.text
    assert torch.allclose(probed(network)(), expected, atol=1e-6)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_evaluation_mode_without_gradients():
    model = build("pspnet").train()
    prepare(model)
    assert not any(module.training for module in model.modules())
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_a_plain_module_without_a_probe_is_only_reordered():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    prepare(network)
    assert isinstance(network[1], nn.BatchNorm2d)
    assert network[0].weight.is_contiguous(memory_format=torch.channels_last)


@torch.no_grad()
@pytest.mark.parametrize("available", [True, False])
def test_stages_of_pspnet_at_paper_width(available, monkeypatch):
    """At width 0.5 the stages' channels are whole panels; without the compiled kernels they stay as
    they are."""
    monkeypatch.setattr("vssbench.native.available", lambda: available)
    torch.manual_seed(0)
    model = registry.create("methods", Variant("pspnet", {"width": 0.5}), classes=5).eval()
    image = torch.rand(1, 3, 40, 56)
    expected, _ = model.keyframe(image)
    fast = prepare(model)
    kinds = [type(module) for module in fast.modules()]
    assert kinds.count(PooledConv) == 1
    assert kinds.count(UpsampledConv) == (3 if available else 0)
    assert kinds.count(UpsampleStage) == (0 if available else 3)
    assert close(fast.keyframe(image)[0], expected)
