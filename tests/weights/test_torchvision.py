"""torchvision's ImageNet ResNets as backbones: which entries go where, and why the others do
not."""

import pytest
import torch

from tests.weights.golden import recipe
from vssbench.core import registry, torchvision_guard
from vssbench.core.errors import WeightsError
from vssbench.core.variant import parse_variant
from vssbench.nets.resnet import ResNet
from vssbench.weights.importer import import_checkpoints
from vssbench.weights.torchvision import backbone_entries, is_backbone


def resnet(layers, classes=10):
    """A checkpoint as torchvision saves it, with reproducible values."""
    torchvision_guard.install()
    models = pytest.importorskip("torchvision.models")
    with torch.device("meta"):
        network = getattr(models, f"resnet{layers}")(num_classes=classes)
    return {key: recipe(key, tuple(value.shape)) for key, value in network.state_dict().items()}


def method(text, classes=5):
    with torch.device("meta"):
        return registry.create("methods", parse_variant(text), classes=classes)


@pytest.mark.parametrize(
    ("text", "layers", "prefixes"),
    [
        ("bisenet", 18, ("net.context.backbone.",)),
        ("bisenet[backbone=resnet34]", 34, ("net.context.backbone.",)),
        ("pspnet", 18, ("net.backbone.",)),
        ("arseg", 18, ("high.backbone.", "low.backbone.")),
        ("bisenet[form=ooooverflow,backbone=resnet101]", 101, ("net.backbone.",)),
    ],
)
def test_every_convolution_and_statistic_is_used(text, layers, prefixes):
    state = resnet(layers)
    assert is_backbone(state)
    used, unused = backbone_entries(method(text), state)
    wanted = {
        key: value
        for key, value in state.items()
        if not key.startswith("fc.") and not key.endswith("num_batches_tracked")
    }
    assert used.keys() == {f"{prefix}{key}" for prefix in prefixes for key in wanted}
    assert all(
        used[f"{prefix}{key}"] is value for prefix in prefixes for key, value in wanted.items()
    )
    assert {key for key, _ in unused} == state.keys() - wanted.keys()
    assert "ImageNet" in dict(unused)["fc.weight"]


def test_a_deep_stem_leaves_out_torchvisions_and_says_so():
    used, unused = backbone_entries(
        method("bisenet[form=torchseg,backbone=resnet101]"), resnet(101)
    )
    reasons = dict(unused)
    assert "three 3x3 convolutions" in reasons["conv1.weight"]
    assert "another stem" in reasons["bn1.weight"]
    assert "net.context.backbone.layer1.0.conv2.weight" in used
    # 128 channels come out of the deep stem
    assert "net.context.backbone.layer1.0.conv1.weight" not in used


@pytest.mark.parametrize(
    ("text", "layers", "reason"),
    [
        ("bisenet", 50, "holds a ResNet-50, and the network's backbone is a ResNet-18"),
        ("bisenet", 34, "holds a ResNet-34, and the network's backbone is a ResNet-18"),
        ("bisenet[width=0.25]", 18, "other channels than the file .width 0.25."),
        ("bisenet[form=torchseg,backbone=xception39]", 18, "has no ResNet"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_words(text, layers, reason, tmp_path):
    path = tmp_path / "resnet.pth"
    torch.save(resnet(layers), path)
    with pytest.raises(WeightsError, match=reason):
        import_checkpoints(parse_variant(text), [path])


def test_the_file_without_classes_starts_a_training(tmp_path):
    path = tmp_path / "resnet18.pth"
    state = resnet(18)
    torch.save(state, path)
    result = import_checkpoints(parse_variant("bisenet"), [path])
    assert result.classes == ()
    assert "net.context.backbone" not in result.missing
    model = registry.create("methods", result.variant, classes=5)
    model.load_state_dict(result.state, strict=False)
    assert torch.equal(
        model.net.context.backbone.layer4[1].bn2.running_var, state["layer4.1.bn2.running_var"]
    )


def test_what_is_no_resnet_of_torchvision():
    state = ResNet(18, 0.125).state_dict()
    assert is_backbone(state)
    assert not is_backbone({**state, "decode_head.weight": torch.empty(0)})
    assert not is_backbone({key: value for key, value in state.items() if key != "bn1.weight"})
