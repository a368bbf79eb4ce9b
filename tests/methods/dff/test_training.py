"""The training of DFF: what each phase trains, and on which feature."""

import pytest
import torch

from tests.methods.dff.networks import CODEC, SMALL, UPSAMPLING, VARIANTS, batch_of, create
from vssbench.core.segmenter import Batch
from vssbench.core.variant import parse_variant
from vssbench.nets.resize import resize
from vssbench.training.frozen import freeze
from vssbench.training.recipe import load_recipe
from vssbench.weights.file import open_weights
from vssbench.weights.shipped import shipped_folder


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
