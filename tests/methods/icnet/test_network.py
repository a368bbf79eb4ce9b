"""ICNet's networks, and the paper's one against a plain reading of its layer list."""

import pytest
import torch
import torch.nn.functional as F

from tests.methods.icnet.cases import PUBLISHED_WINDOWS
from vssbench.core.errors import UsageError
from vssbench.methods.icnet.forms import LiminnICNet, MmsegICNet
from vssbench.methods.icnet.network import PaperICNet
from vssbench.methods.icnet.units import (
    nearest_labels,
)

CLASSES = 5
FORMS = [PaperICNet, LiminnICNet, MmsegICNet]


@pytest.mark.parametrize("form", [PaperICNet, LiminnICNet])
def test_label_guidance_weighs_the_branches(form):
    net = form(CLASSES, width=0.125).train()
    label = torch.randint(0, CLASSES, (2, 65, 97))
    label[:, :9, :9] = 255
    weights = torch.rand(CLASSES) + 0.5
    with torch.no_grad():
        feature, (guide24, guide12) = net.features(torch.randn(2, 3, 65, 97))
    terms = net.losses(net.final(feature), (guide24, guide12), label, weights)
    branches = {
        "task": (1, net.final(feature)),
        "guidance24": (0.4, net.guidance24(guide24)),
        "guidance12": (0.4, net.guidance12(guide12)),
    }
    assert set(terms) == set(branches)
    for name, (weight, logits) in branches.items():
        small = nearest_labels(label, tuple(logits.shape[-2:]))
        expected = weight * F.cross_entropy(logits, small, weights, ignore_index=255)
        assert terms[name].item() == pytest.approx(expected.item(), rel=1e-5)


def test_mmseg_compares_at_the_images_size():
    net = MmsegICNet(CLASSES, layers=18, width=0.125).train()
    label, weights = torch.randint(0, CLASSES, (2, 64, 96)), torch.ones(CLASSES)
    feature, extra = net.features(torch.randn(2, 3, 64, 96))
    terms = net.losses(net.final(feature), extra, label, weights)
    for name, weight, logits in (
        ("task", 1, net.final(feature)),
        ("guidance24", 0.4, net.guidance24(extra[0])),
        ("guidance12", 0.4, net.guidance12(extra[1])),
    ):
        full = F.interpolate(logits, size=(64, 96), mode="bilinear", align_corners=False)
        assert terms[name].item() == pytest.approx(
            weight * F.cross_entropy(full, label).item(), rel=1e-5
        )


@pytest.mark.parametrize("form", FORMS)
def test_without_guidance_only_the_last_prediction_is_trained(form):
    net = form(CLASSES, width=0.125, guidance=False)
    feature, extra = net.features(torch.randn(2, 3, 64, 96))
    terms = net.losses(
        net.final(feature), extra, torch.zeros(2, 64, 96, dtype=torch.long), torch.ones(CLASSES)
    )
    assert list(terms) == ["task"]
    assert not [name for name, _ in net.named_parameters() if name.startswith("guidance")]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("layers", [18, 50, 101])
def test_logits_have_the_images_size(form, layers):
    net = form(CLASSES, layers, 0.125).eval()
    for size in ((359, 481), (64, 96), (33, 47)):
        with torch.no_grad():
            logits, feature = net(torch.randn(1, 3, *size))
        assert logits.shape == (1, CLASSES, *size)
        assert feature.shape[1] == net.feature_channels


def paper_by_its_layer_list(state, image):
    """The deploy network of hszhao/ICNet (evaluation/prototxt/icnet_cityscapes_bnnomerge.prototxt),
    one line a layer."""

    def conv(x, name, norm, stride=1, dilation=1, relu=True):
        weight = state[f"{name}.weight"]
        x = F.conv2d(
            x, weight, stride=stride, padding=weight.shape[-1] // 2 * dilation, dilation=dilation
        )
        keys = ("running_mean", "running_var", "weight", "bias")
        mean, variance, gamma, beta = (state[f"{norm}.{key}"][:, None, None] for key in keys)
        x = (x - mean) / torch.sqrt(variance + 1e-5) * gamma + beta
        return x.clamp(min=0) if relu else x

    def block(x, stage, number, stride=1, dilation=1):
        name = f"backbone.layer{stage - 1}.{number - 1}"
        y = conv(x, f"{name}.conv1", f"{name}.bn1", stride)
        y = conv(y, f"{name}.conv2", f"{name}.bn2", dilation=dilation)
        y = conv(y, f"{name}.conv3", f"{name}.bn3", relu=False)
        if number == 1:
            x = conv(x, f"{name}.downsample.0", f"{name}.downsample.1", stride, relu=False)
        return (x + y).clamp(min=0)

    def interp(x, zoom=None, shrink=None, size=None):
        height, width = x.shape[-2:]
        if zoom:
            size = (height + (height - 1) * (zoom - 1), width + (width - 1) * (zoom - 1))
        if shrink:
            size = ((height - 1) // shrink + 1, (width - 1) // shrink + 1)
        return F.interpolate(x, size=size, mode="bilinear", align_corners=True)

    x = conv(interp(image, shrink=2), "backbone.conv1.0", "backbone.conv1.1", 2)
    x = conv(conv(x, "backbone.conv1.3", "backbone.conv1.4"), "backbone.conv1.6", "backbone.bn1")
    x = F.max_pool2d(x, 3, 2, 1, ceil_mode=True)
    for number in (1, 2, 3):
        x = block(x, 2, number)
    conv3_1 = block(x, 3, 1, stride=2)
    x = interp(conv3_1, shrink=2)
    for stage, numbers, dilation in (
        (3, (2, 3, 4), 1),
        (4, (1, 2, 3, 4, 5, 6), 2),
        (5, (1, 2, 3), 4),
    ):
        for number in numbers:
            x = block(x, stage, number, dilation=dilation)
    maps = [F.avg_pool2d(x, window, stride) for window, stride in PUBLISHED_WINDOWS.values()]
    x = x + sum(interp(pooled, size=x.shape[-2:]) for pooled in maps)
    low = conv(x, "reduce.0", "reduce.1")
    joined = conv(
        interp(low, zoom=2), "fusion24.coarse.0", "fusion24.coarse.1", dilation=2, relu=False
    )
    joined = (joined + conv(conv3_1, "fusion24.fine.0", "fusion24.fine.1", relu=False)).clamp(min=0)
    x = image
    for number in range(3):
        x = conv(x, f"sub1.{number}.0", f"sub1.{number}.1", 2)
    joined = conv(
        interp(joined, zoom=2), "fusion12.coarse.0", "fusion12.coarse.1", dilation=2, relu=False
    )
    joined = (joined + conv(x, "fusion12.fine.0", "fusion12.fine.1", relu=False)).clamp(min=0)
    return interp(
        F.conv2d(interp(joined, zoom=2), state["final.weight"], state["final.bias"]), zoom=4
    )


def test_the_papers_network_is_the_authors_layer_list_at_its_size():
    """At 1025x2049, the size of the published model, whose pooling windows are fixed numbers."""
    net = PaperICNet(CLASSES, width=0.125).eval()
    generator = torch.Generator().manual_seed(0)
    for name, value in net.state_dict().items():
        if name.endswith(("running_mean", "bias")):
            value.copy_(torch.randn(value.shape, generator=generator) * 0.1)
        elif name.endswith("running_var") or (name.endswith("weight") and value.ndim == 1):
            value.copy_(torch.rand(value.shape, generator=generator) * 0.4 + 0.6)
    image = torch.randn(1, 3, 1025, 2049, generator=generator)
    with torch.no_grad():
        expected = paper_by_its_layer_list(net.state_dict(), image)
        logits, _ = net(image)
    assert logits.shape == expected.shape
    assert (logits - expected).abs().max() <= 1e-5 * expected.abs().max()


def runs_of(net, module, image):
    """The input shapes of a submodule during one inference."""
    shapes = []
    handle = module.register_forward_pre_hook(
        lambda _, inputs: shapes.append(tuple(inputs[0].shape[-2:]))
    )
    with torch.no_grad():
        net(image)
    handle.remove()
    return shapes


def test_medium_and_low_branch_share_their_first_convolutions():
    net = PaperICNet(CLASSES, width=0.125).eval()
    image = torch.randn(1, 3, 129, 193)
    assert runs_of(net, net.backbone.conv1, image) == [(65, 97)]
    assert runs_of(net, net.backbone.layer2[0], image) == [(17, 25)]
    assert runs_of(net, net.backbone.layer2[1], image) == [(5, 7)]


@pytest.mark.parametrize("size", [(96, 128), (75, 101)])
def test_liminn_runs_no_discarded_layer_and_names_those_of_the_original(size):
    net = LiminnICNet(CLASSES, width=0.125).eval()
    image = torch.randn(1, 3, *size)
    assert len(runs_of(net, net.backbone.layer2, image)) == 2
    assert (
        len(runs_of(net, net.backbone.layer3, image))
        == len(runs_of(net, net.backbone.layer4, image))
        == 1
    )
    with torch.no_grad():
        medium = net.coarse_branches(image)[1]
        third = net.backbone.layer3(medium)
        _, guides = net.features(image)
    modules = (net.backbone.layer3, net.backbone.layer4, net.guidance24, net.guidance12)
    inputs = (medium, third, *guides)
    assert net.discarded(size) == tuple(
        (module, tuple(x.shape)) for module, x in zip(modules, inputs, strict=True)
    )
    assert PaperICNet(CLASSES, width=0.125).discarded(size) == ()


def test_an_earlier_branch_predicts_what_its_guidance_classifier_does():
    torch.manual_seed(0)
    whole = PaperICNet(CLASSES, width=0.125).eval()
    image = torch.randn(1, 3, 97, 161)
    with torch.no_grad():
        _, guides = whole.features(image)
        for branches, guide, classifier in (
            ("sub4", guides[0], whole.guidance24),
            ("sub24", guides[1], whole.guidance12),
        ):
            net = PaperICNet(CLASSES, width=0.125, branches=branches).eval()
            net.load_state_dict(whole.state_dict())
            expected = F.interpolate(
                classifier(guide), size=(97, 161), mode="bilinear", align_corners=True
            )
            assert torch.allclose(net(image)[0], expected, atol=1e-5)
            assert not [name for name in net.idle() if runs_of(net, net.get_submodule(name), image)]


def test_an_earlier_branch_needs_its_guidance_classifier():
    with pytest.raises(UsageError, match="guidance=on"):
        PaperICNet(CLASSES, width=0.125, branches="sub4", guidance=False)
    with pytest.raises(UsageError, match="fusion=cff"):
        PaperICNet(CLASSES, width=0.125, branches="sub24", fusion="dc3")
