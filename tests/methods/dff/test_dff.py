"""The parts of DFF that are its own: the feature carried over by flow and scale, and its cost."""

import pytest
import torch

from tests.methods.dff.networks import CODEC, SMALL, VARIANTS, create
from vssbench.core.errors import UsageError
from vssbench.core.variant import parse_variant
from vssbench.cost.gmacs import count
from vssbench.nets.resize import resize


def say(model, cells: tuple[float, float]) -> None:
    """Make the flow network's last layer give this flow (x, y) everywhere, in cells of the
    feature."""
    last = model.flow.network.predict["2"]
    unit = 20 * model.flow.setting.shrink / model.flow.stride
    torch.nn.init.zeros_(last.weight)
    if last.bias is None:
        last.bias = torch.nn.Parameter(torch.zeros(2))
    with torch.no_grad():
        last.bias.copy_(torch.tensor(cells) / unit)


@pytest.mark.parametrize("text", VARIANTS)
@pytest.mark.parametrize("size", [(64, 96), (75, 101)])
def test_without_flow_a_frame_is_its_keyframe(text, size):
    model = create(text).eval()
    say(model, (0.0, 0.0))
    with torch.no_grad():
        logits, reference = model.keyframe(torch.rand(1, 3, *size))
        assert logits.shape == (1, 4, *size)
        image = torch.rand(1, 3, *size)
        assert torch.equal(model.propagate(image, None, reference), reference[1])
        apart = (model.nonkeyframe(image, None, reference) - logits).abs().max()
    assert apart <= 1e-5 * logits.abs().max()


def test_the_codecs_motion_without_motion_likewise():
    model = create(CODEC).eval()
    with torch.no_grad():
        logits, reference = model.keyframe(torch.rand(1, 3, 75, 101))
        image, motion = torch.rand(1, 3, 75, 101), torch.zeros(1, 2, 75, 101)
        assert torch.equal(model.propagate(image, motion, reference), reference[1])
        apart = (model.nonkeyframe(image, motion, reference) - logits).abs().max()
    assert apart <= 1e-5 * logits.abs().max()


def test_the_feature_is_moved_then_scaled_then_classified():
    """Whole cells: the feature at p is the keyframe's at p + flow, 0 from outside; channels scaled
    before N_task."""
    model = create(SMALL).eval()
    say(model, (2.0, -1.0))
    torch.nn.init.normal_(model.flow.scale.weight, std=0.3)
    image, keyframe = torch.rand(1, 3, 96, 128), torch.rand(1, 3, 96, 128)
    with torch.no_grad():
        _, (_, feature) = model.keyframe(keyframe)
        _, scale = model.flow(image, keyframe, (6, 8))
        moved = torch.zeros_like(feature)
        for i in range(6):
            for j in range(8):
                if i - 1 >= 0 and j + 2 < 8:
                    moved[..., i, j] = feature[..., i - 1, j + 2] * scale[..., i, j]
        weight, bias = model.net.final.weight[:, :, 0, 0], model.net.final.bias
        low = torch.einsum("oc,nchw->nohw", weight, moved) + bias.view(1, -1, 1, 1)
        result = model.nonkeyframe(image, None, (keyframe, feature))
    assert torch.allclose(result, resize(low, (96, 128), align_corners=False), atol=1e-4)
    assert scale.std() > 0.01


def test_flow_comes_from_the_two_images_and_not_from_the_codec():
    model = create(SMALL).eval()
    image, other = torch.rand(2, 1, 3, 64, 96)
    with torch.no_grad():
        _, reference = model.keyframe(torch.rand(1, 3, 64, 96))
        first = model.nonkeyframe(image, torch.zeros(1, 2, 64, 96), reference)
        assert torch.equal(
            first, model.nonkeyframe(image, torch.full((1, 2, 64, 96), 30.0), reference)
        )
        assert not torch.equal(
            first, model.nonkeyframe(other, torch.zeros(1, 2, 64, 96), reference)
        )


def test_motion_from_the_codec_moves_the_feature_and_is_declared():
    model = create(CODEC).eval()
    assert model.needs == {"motion"}
    assert not create(SMALL).needs
    assert not any(name.startswith("flow") for name in model.state_dict())
    feature, motion = torch.randn(1, model.net.feature_channels, 4, 6), torch.zeros(1, 2, 64, 96)
    motion[:, 0] = 32.0  # two cells of stride 16
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        moved = model.propagate(image, motion, (image, feature))
    assert torch.equal(moved[..., :4], feature[..., 2:])
    assert moved[..., 4:].abs().max() == 0


def test_cost_at_paper_scale():
    """F costs 14.69 GMACs at 720x960 (43.64 at 1024x2048); the warp has four taps, N_task is one
    1x1 convolution."""
    for size, flow in (((720, 960), 14.69), ((1024, 2048), 43.64)):
        cells = size[0] // 16 * size[1] // 16
        expected = flow + (4 * 1024 + 1024 * 19) * cells / 1e9
        assert count(parse_variant("dff"), 19, *size).gmacs_nonkey == pytest.approx(
            expected, abs=0.01
        )
    with torch.device("meta"):
        parts = create("dff", 19)
    assert sum(p.numel() for p in parts.flow.parameters()) == pytest.approx(38.88e6, abs=5e3)
    assert parts.inference_parameters() == sum(p.numel() for p in parts.parameters())


@pytest.mark.parametrize(
    ("backbone", "per_frame"),
    [("psp18", "pspnet[style=semseg]"), ("psp50", "pspnet[layers=50,style=semseg]")],
)
def test_a_keyframe_costs_what_the_per_frame_network_does(backbone, per_frame):
    ours, theirs = (
        count(parse_variant(f"dff[backbone={backbone}]"), 19, 713, 713),
        count(parse_variant(per_frame), 19, 713, 713),
    )
    assert ours.gmacs_key == theirs.gmacs_key


@pytest.mark.parametrize(
    "text",
    [
        "dff[backbone=vgg]",
        "dff[style=caffe]",
        "dff[motion=none]",
        "dff[flow=pwc]",
        "dff[flow_form=onnx]",
    ],
)
def test_wrong_parameters_are_refused_in_words(text):
    with pytest.raises(UsageError, match=r"unknown \w+ '\w+' of dff: expected \w+"):
        create(text)


@pytest.mark.parametrize(
    ("text", "display"),
    [
        ("dff", "DFF-R101"),
        ("dff[backbone=psp18,flow=half]", "DFF-PSP18 (FlowNet Half)"),
        ("dff[flow=inception,scale_field=off]", "DFF-R101 (FlowNet Inception, no scale field)"),
        (CODEC, "DFF-R18 (codec motion) (width 0.125)"),
    ],
)
def test_display(text, display):
    with torch.device("meta"):
        assert create(text).display == display


def test_a_keyframe_is_classified_by_its_own_feature():
    model = create(SMALL).eval()
    torch.nn.init.normal_(model.flow.scale.weight)
    with torch.no_grad():
        logits, (_, feature) = model.keyframe(torch.rand(1, 3, 64, 96))
        assert torch.equal(logits, model.net.classify(feature, (64, 96)))
