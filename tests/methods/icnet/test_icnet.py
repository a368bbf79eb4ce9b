"""ICNet: parameters and cost of its published forms, its training, the ablations, what it
refuses."""

import math

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vssbench.core import registry
from vssbench.core.errors import UsageError, WeightsError
from vssbench.core.segmenter import Batch
from vssbench.core.variant import format_value, parse_variant
from vssbench.cost.gmacs import count, meta_model


def build(variant, classes=5):
    return registry.create("methods", parse_variant(variant), classes=classes)


@pytest.mark.parametrize(
    ("variant", "height", "width", "params", "gmacs"),
    [
        # without ImageNet's classifier, which never runs
        ("icnet[form=liminn]", 720, 960, 28_298_376 - 2_049_000, 37.97),
        ("icnet[form=mmseg]", 720, 960, 47_827_833, 40.94),
        ("icnet[form=mmseg]", 1024, 2048, 47_827_833, 121.97),
        ("icnet[form=mmseg,backbone=resnet18]", 720, 960, 25_174_393, 24.86),
        ("icnet[form=mmseg,backbone=resnet18]", 1024, 2048, 25_174_393, 74.24),
    ],
)
def test_cost_of_the_pytorch_forms(variant, height, width, params, gmacs):
    model = meta_model(parse_variant(variant), 19)
    assert sum(p.numel() for p in model.parameters()) == params
    # liminn's live figure has the guidance classifiers in it, 0.03 G, which do not run here
    assert count(parse_variant(variant), 19, height, width).gmacs_key == pytest.approx(
        gmacs, rel=1.5e-3
    )


def test_mmsegs_guidance_heads_are_not_counted():
    assert count(parse_variant("icnet[form=mmseg]"), 19, 96, 128).params == 47_827_833 - 300_326


def test_cost_of_the_papers_network():
    """The authors' deploy model has its batch normalisations merged: one bias a channel in place of
    two parameters."""
    variant = parse_variant("icnet")
    cost = count(variant, 19, 1025, 2049)
    skipped = meta_model(variant, 19).training_only()
    norms = [
        module.num_features
        for name, module in meta_model(variant, 19).named_modules()
        if isinstance(module, nn.BatchNorm2d) and not name.startswith(skipped)
    ]
    assert cost.params - sum(norms) == 6_685_715
    assert cost.gmacs_key == pytest.approx(29.81, abs=0.005)
    model = meta_model(variant, 19)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.net.sub1(torch.empty(1, 3, 1025, 2049, device="meta"))
    assert counter.get_total_flops() / 2e9 == pytest.approx(
        2.55 - 128 * 64 * 129 * 257 / 1e9, abs=0.005
    )


def test_what_liminns_code_executes():
    """With the work that the original discards: the published 97.42 GMACs."""
    variant = parse_variant("icnet[form=liminn]")
    live = count(variant, 19, 720, 960).gmacs_key
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        for module, shape in meta_model(variant, 19).net.discarded((720, 960)):
            module(torch.empty(shape, device="meta"))
    assert live + counter.get_total_flops() / 2e9 == pytest.approx(97.42, abs=0.005)


def test_compression_and_branches_cost_what_they_should():
    def gmacs(variant):
        return count(parse_variant(variant), 19, 721, 961).gmacs_key

    quarter, half, whole = (gmacs(f"icnet[keep={keep}]") for keep in (0.25, 0.5, 1))
    assert quarter < 0.6 * half < 0.6 * 0.5 * whole
    assert gmacs("icnet[branches=sub4]") < gmacs("icnet[branches=sub24]") < half
    # a stride-2 deconvolution uses each of its k x k weights once for every coarse pixel, CFF's 3x3
    # nine for every fine one
    assert (
        gmacs("icnet[fusion=dc3]") < gmacs("icnet[fusion=dc5]") < half < gmacs("icnet[fusion=dc7]")
    )
    assert gmacs("icnet[backbone=resnet18]") < half
    assert gmacs("icnet[guidance=off]") == half


@pytest.mark.parametrize("branches", ["sub4", "sub24"])
def test_weights_serve_every_branch(branches):
    torch.manual_seed(0)
    whole = build("icnet[width=0.125]").eval()
    part = build(f"icnet[width=0.125,branches={branches}]").eval()
    part.load_state_dict(whole.state_dict())
    image = torch.rand(1, 3, 65, 97)
    with torch.no_grad():
        assert part.keyframe(image)[0].shape == (1, 5, 65, 97)
        assert not torch.equal(part.keyframe(image)[0], whole.keyframe(image)[0])
    assert "branches" in type(part).free_parameters


def batch(size=(65, 97)):
    label = torch.randint(0, 5, (2, *size))
    return Batch(torch.rand(2, 3, *size), label, torch.ones(5))


@pytest.mark.parametrize(
    "parameters", ["branches=sub4", "fusion=dc3", "scale=0.5", "form=liminn", "form=mmseg"]
)
def test_every_weight_is_trained(parameters):
    model = build(f"icnet[{parameters},width=0.125]").train()
    (phase,) = model.phases()
    terms = model.loss(phase, batch())
    assert set(terms) == {"task", "guidance24", "guidance12"}
    sum(terms.values()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


def test_an_even_guess_costs_the_logarithm_of_the_classes():
    model = build("icnet[width=0.125]").train()
    for head in (model.net.final, model.net.guidance24, model.net.guidance12):
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
    terms = {name: term.item() for name, term in model.loss(model.phases()[0], batch()).items()}
    assert terms["task"] == pytest.approx(math.log(5), rel=1e-5)
    assert terms["guidance24"] == terms["guidance12"] == pytest.approx(0.4 * math.log(5), rel=1e-5)


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ("icnet[form=caffe]", "paper, liminn or mmseg"),
        ("icnet[backbone=resnet34]", "resnet18, resnet50 or resnet101"),
        ("icnet[branches=sub1]", "sub4, sub24 or sub124"),
        ("icnet[fusion=dc9]", "cff, dc3, dc5 or dc7"),
        ("icnet[keep=0]", "at most 1"),
        ("icnet[form=liminn,keep=0.25]", "no choice of keep: .* form=paper"),
        ("icnet[form=mmseg,branches=sub4,fusion=dc3]", "no choice of branches and fusion"),
        ("icnet[branches=sub4,guidance=off]", "guidance=on"),
    ],
)
def test_what_it_refuses(variant, words):
    with pytest.raises(UsageError, match=words):
        build(variant)


@pytest.mark.parametrize(
    ("variant", "display"),
    [
        ("icnet", "ICNet"),
        ("icnet[keep=1,branches=sub24]", "ICNet keep 1 sub24"),
        ("icnet[form=mmseg,backbone=resnet18,scale=0.5]", "ICNet R18 mmseg 0.5x"),
        ("icnet[fusion=dc7,guidance=off,width=0.25]", "ICNet DC7 no guidance (width 0.25)"),
    ],
)
def test_display_names(variant, display):
    with torch.device("meta"):
        assert build(variant).display == display


def source(variant):
    """The metadata of a weight file of that variant."""
    parameters = registry.resolved("methods", parse_variant(variant))
    return {
        "name": "icnet",
        "method": variant,
        **{key: format_value(value) for key, value in parameters.items()},
    }


def test_weights_of_a_larger_keep_are_pruned():
    small = "icnet[width=0.125,backbone=resnet18"
    full, half = build(f"{small},keep=1]"), build(f"{small},branches=sub24]")
    assert half.initialise(full.state_dict(), source(f"{small},keep=1]")) == ()
    assert half.remarks == (
        "pruned the weights of keep=1 to keep=0.5; the filters with the largest L1 norms are kept",
    )
    assert torch.equal(half.net.sub1[0][0].weight, full.net.sub1[0][0].weight)
    kept = (
        full.net.backbone.layer4[1]
        .conv1.weight.abs()
        .sum((1, 2, 3))
        .argsort(descending=True)[:32]
        .sort()
        .values
    )
    assert torch.equal(
        half.net.backbone.layer4[1].bn1.weight, full.net.backbone.layer4[1].bn1.weight[kept]
    )
    again = build(f"{small}]")
    again.initialise(half.state_dict(), source(f"{small}]"))
    assert again.remarks == ()
    assert all(
        torch.equal(value, half.state_dict()[name]) for name, value in again.state_dict().items()
    )


def test_pruned_weights_need_no_guidance_classifiers():
    full, half = build("icnet[width=0.125,keep=1,guidance=off]"), build("icnet[width=0.125]")
    half.initialise(full.state_dict(), source("icnet[width=0.125,keep=1,guidance=off]"))
    assert torch.equal(half.net.final.weight, full.net.final.weight)


@pytest.mark.parametrize(
    ("held", "asked", "words"),
    [
        (
            "icnet[width=0.125]",
            "icnet[width=0.125,keep=1]",
            "fewer filters than keep=1: pruning removes filters and adds none",
        ),
        (
            "icnet[width=0.25,keep=1]",
            "icnet[width=0.125]",
            "width=0.25, and width=0.125 is to be trained",
        ),
        (
            "icnet[width=0.125,keep=1,backbone=resnet18]",
            "icnet[width=0.125]",
            "ask for backbone=resnet18",
        ),
        (
            "icnet[width=0.125,keep=1,fusion=dc3]",
            "icnet[width=0.125]",
            "fusion=dc3, and fusion=cff",
        ),
        (
            "icnet[width=0.125,form=mmseg]",
            "icnet[width=0.125,keep=0.25]",
            "form=mmseg, and form=paper",
        ),
    ],
)
def test_what_cannot_be_pruned(held, asked, words):
    with pytest.raises(WeightsError, match=words):
        build(asked).initialise(build(held).state_dict(), source(held))


def test_a_part_of_a_network_is_not_pruned():
    full = {
        name: value
        for name, value in build("icnet[width=0.125,keep=1]").state_dict().items()
        if "backbone" in name
    }
    with pytest.raises(WeightsError, match="pruning takes a whole network"):
        build("icnet[width=0.125]").initialise(
            full, {**source("icnet[width=0.125,keep=1]"), "missing": '["net.reduce"]'}
        )
