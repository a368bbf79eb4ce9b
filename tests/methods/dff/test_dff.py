"""The parts of DFF that are its own.

These are the feature carried over by flow and scale, its cost, its phases, and what it starts from.
"""

import json

import pytest
import torch

from vssbench.core import registry
from vssbench.core.errors import UsageError, WeightsError
from vssbench.core.segmenter import Batch
from vssbench.core.variant import parse_variant
from vssbench.cost.gmacs import count
from vssbench.nets.resize import resize
from vssbench.training.frozen import freeze
from vssbench.training.recipe import load_recipe
from vssbench.weights.file import open_weights
from vssbench.weights.shipped import shipped_folder

VARIANTS = (
    "dff[backbone=resnet18,width=0.125]",
    "dff[backbone=resnet50,width=0.125,flow=half,flow_form=pytorch]",
    "dff[backbone=resnet18,width=0.125,flow=inception,scale_field=off]",
    "dff[backbone=psp18,width=0.125]",
    "dff[backbone=psp50,width=0.125,flow=narrow]",
    "dff[backbone=psp18,style=upsample,width=0.125]",
)
SMALL, UPSAMPLING = VARIANTS[0], VARIANTS[-1]
CODEC = "dff[backbone=resnet18,motion=codec,width=0.125]"


def create(text: str, classes: int = 4):
    torch.manual_seed(0)
    return registry.create("methods", parse_variant(text), classes=classes)


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


def batch_of(size: tuple[int, int], flow: torch.Tensor | None = None) -> Batch:
    generator = torch.Generator().manual_seed(1)
    image, keyframe = torch.rand(2, 2, 3, *size, generator=generator)
    label = torch.randint(0, 4, (2, *size), generator=generator)
    return Batch(image, label, torch.ones(4), keyframe, torch.zeros(2, 2, *size), flow)


@pytest.mark.parametrize("text", VARIANTS)
def test_each_phase_trains_its_part(text):
    model = create(text)
    batch = batch_of((64, 96), torch.randn(2, 2, 64, 96))
    expected = {"task": {"net"}, "flow": {"flow"}, "joint": {"net", "flow"}}
    assert [phase.name for phase in model.phases()] == list(expected)
    for phase in model.phases():
        freeze(model, phase.frozen)
        model.zero_grad()
        sum(model.loss(phase, batch).values()).backward()
        trained = [name for name, p in model.named_parameters() if p.requires_grad]
        idle = [name for name in trained if model.get_parameter(name).grad is None]
        assert not idle, phase.name
        assert {name.split(".")[0] for name in trained} == expected[phase.name]


def test_joint_training_reaches_the_scale_field_and_draws_the_papers_distances():
    model = create(SMALL)
    joint = model.phases()[-1]
    assert (joint.data, joint.gaps) == ("pairs", (0, 9))
    model.loss(joint, batch_of((64, 96)))["task"].backward()
    assert model.flow.scale.weight.grad.abs().sum() > 0
    assert model.flow.network.encoder.conv1[0].weight.grad.abs().sum() > 0
    assert model.net.backbone.conv1.weight.grad.abs().sum() > 0


def test_the_recipe_of_table_4s_separate_trains_the_scale_field_alone():
    model = create(UPSAMPLING)
    recipe = load_recipe(parse_variant(UPSAMPLING), "synthetic", "separate")
    joint = model.phases()[-1]
    freeze(model, (*joint.frozen, *recipe.of(joint.name).frozen))
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trained == ["flow.scale.weight"]
    model.loss(joint, batch_of((64, 96)))["task"].backward()
    assert model.flow.scale.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("dataset", ["synthetic", "camvid"])
def test_the_shipped_weights_of_separate_networks_are_those_that_they_came_as(dataset):
    ours, still, moving = (
        open_weights(shipped_folder() / f"{name}-w0.25-{dataset}.safetensors").tensors()
        for name in ("dff-psp18", "pspnet", "dff-r18")
    )
    for name, value in ours.items():
        if name.startswith("net."):
            assert torch.equal(value, still[name]), name
        elif name.startswith("flow.network."):
            assert torch.equal(value, moving[name]), name
    assert {name for name in ours if name.startswith("flow.scale.")}


def test_flow_training_learns_a_shift():
    """Textures moved by whole pixels: the loss falls by half within a few steps."""
    model = create(SMALL)
    phase = model.phases()[1]
    freeze(model, phase.frozen)
    generator = torch.Generator().manual_seed(2)
    keyframe = resize(torch.rand(4, 3, 20, 28, generator=generator), (80, 112), False)
    shifts = ((8, 0), (-8, 4), (0, -8), (4, 8))
    image = torch.stack(
        [
            torch.roll(key, (-dy, -dx), (1, 2))
            for key, (dx, dy) in zip(keyframe, shifts, strict=True)
        ]
    )
    flow = torch.tensor(shifts, dtype=torch.float32).view(4, 2, 1, 1).expand(4, 2, 80, 112)
    batch = Batch(
        image, torch.zeros(4, 80, 112, dtype=torch.long), torch.ones(4), keyframe, None, flow
    )
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 1e-3)
    losses = []
    for _ in range(30):
        loss = model.loss(phase, batch)["task"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize(
    ("text", "per_frame"),
    [(VARIANTS[3], "pspnet[style=semseg,width=0.125]"), (UPSAMPLING, "pspnet[width=0.125]")],
)
def test_starts_from_a_pspnet(text, per_frame):
    variant = parse_variant(per_frame)
    model, pspnet = create(text).eval(), create(per_frame).eval()
    source = {key: str(value) for key, value in registry.resolved("methods", variant).items()}
    source.update(name="pspnet", method=per_frame)
    for parameter in pspnet.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    assert model.initialise(pspnet.state_dict(), source) == ("task",)
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        assert torch.equal(model.keyframe(image)[0], pspnet.keyframe(image)[0])
    backbone = {
        name: value
        for name, value in pspnet.state_dict().items()
        if name.startswith("net.backbone.")
    }
    assert model.initialise(backbone, {**source, "missing": '["net.psp"]'}) == ()


def test_starts_from_a_flow_network_without_decoder_biases():
    model = create(SMALL)
    flow = {
        name: torch.randn_like(value)
        for name, value in create("dff[backbone=resnet18,width=0.125,flow_form=pytorch]")
        .state_dict()
        .items()
        if name.startswith("flow.network.")
    }
    source = {
        "name": "dff",
        "method": "dff[flow_form=pytorch]",
        "missing": json.dumps(["net", "flow.scale"]),
    }
    assert model.initialise(flow, source) == ("flow",)
    assert torch.equal(
        model.flow.network.deconv["5"][0].weight, flow["flow.network.deconv.5.0.weight"]
    )
    assert model.flow.network.deconv["5"][0].bias.abs().max() == 0


def test_starts_from_its_own_weights():
    model, other = create(SMALL), create(SMALL)
    torch.nn.init.normal_(other.net.final.weight)
    assert model.initialise(other.state_dict(), {"name": "dff", "method": SMALL}) == (
        "task",
        "flow",
    )
    assert torch.equal(model.net.final.weight, other.net.final.weight)
    assert create(CODEC).initialise(
        create(CODEC).state_dict(), {"name": "dff", "method": CODEC}
    ) == ("task",)


def test_weights_trained_with_the_codecs_motion_keep_the_flow_network_that_is_there():
    source = {"name": "dff", "method": CODEC, "motion": "codec", "backbone": "resnet18"}
    model, other = create(SMALL), create(CODEC)
    torch.nn.init.normal_(other.net.final.weight)
    flow = model.flow.network.predict["2"].weight.clone()
    assert model.initialise(other.state_dict(), source) == ("task",)
    assert torch.equal(model.net.final.weight, other.net.final.weight)
    assert torch.equal(model.flow.network.predict["2"].weight, flow)
    partial = {name: value for name, value in other.state_dict().items() if "final" not in name}
    assert model.initialise(partial, source | {"missing": '["net.final"]'}) == ()


@pytest.mark.parametrize(
    ("text", "source", "message"),
    [
        (
            SMALL,
            {"name": "pspnet", "method": "pspnet", "layers": "18", "style": "semseg"},
            "starts from weights of dff, and",
        ),
        (
            VARIANTS[3],
            {"name": "pspnet", "method": "pspnet", "layers": "18", "style": "upsample"},
            "style=semseg",
        ),
        (VARIANTS[3], {"name": "bisenet", "method": "bisenet"}, "this file holds bisenet"),
    ],
)
def test_foreign_weights_are_refused_in_words(text, source, message):
    with pytest.raises(WeightsError, match=message):
        create(text).initialise({}, source)


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


def classified(model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The feature that joint training classifies, the keyframes' own, and these moved and
    scaled."""
    seen: dict[str, torch.Tensor] = {}

    def watch(owner, name, take):
        original = getattr(owner, name)

        def call(*arguments):
            result = original(*arguments)
            seen[name] = take(arguments, result)
            return result

        setattr(owner, name, call)

    watch(model.net, "features", lambda arguments, result: result[0])
    watch(model, "propagate", lambda arguments, result: result)
    watch(model.net, "classify", lambda arguments, result: arguments[0])
    model.loss(model.phases()[-1], batch)
    return seen["classify"], seen["features"], seen["propagate"]


@pytest.mark.parametrize("text", [*VARIANTS, CODEC])
def test_joint_training_classifies_a_keyframes_own_feature_unchanged(text):
    """Each sample by itself: bit for bit at distance 0, moved and scaled at any other."""
    model = create(text)
    batch = batch_of((64, 96))
    batch.motion = torch.full((2, 2, 64, 96), 5.0)
    batch.image[0] = batch.keyframe[0]
    batch.distance = torch.tensor([0, 4])
    with torch.no_grad():
        used, own, moved = classified(model, batch)
    assert torch.equal(used[0], own[0])
    assert torch.equal(used[1], moved[1])
    assert (moved[0] - own[0]).norm() > 0.01 * own[0].norm()
    assert (used[1] - own[1]).norm() > 0.01 * own[1].norm()


def test_pairs_of_distance_0_are_stills():
    """The loss is that of phase task, and the flow network learns nothing of them."""
    model = create(SMALL)
    batch = batch_of((64, 96))
    batch.keyframe, batch.distance = batch.image, torch.zeros(2, dtype=torch.long)
    task, _, joint = model.phases()
    still, pair = model.loss(task, batch)["task"], model.loss(joint, batch)["task"]
    assert torch.equal(still, pair)
    pair.backward()
    assert all(p.grad is None or p.grad.abs().max() == 0 for p in model.flow.parameters())
    assert model.net.backbone.conv1.weight.grad.abs().sum() > 0


def test_a_keyframe_is_classified_by_its_own_feature():
    model = create(SMALL).eval()
    torch.nn.init.normal_(model.flow.scale.weight)
    with torch.no_grad():
        logits, (_, feature) = model.keyframe(torch.rand(1, 3, 64, 96))
        assert torch.equal(logits, model.net.classify(feature, (64, 96)))
