"""The parts of AR-Seg that are its own.

These are the shared classifier, the frozen keyframe network, warp options, and weights of per-frame
networks.
"""

import pytest
import torch

from vssbench.core import registry
from vssbench.core.errors import UsageError, WeightsError
from vssbench.core.segmenter import Batch
from vssbench.core.variant import parse_variant
from vssbench.nets.resize import resize
from vssbench.nets.warp import warp
from vssbench.training.frozen import freeze

SMALL = "arseg[backbone=bise18,width=0.125]"


def create(text: str, classes: int = 4):
    torch.manual_seed(0)
    return registry.create("methods", parse_variant(text), classes=classes)


def test_keyframe_equals_the_per_frame_network():
    arseg, bisenet = create(SMALL).eval(), create("bisenet[width=0.125]").eval()
    arseg.initialise(bisenet.state_dict(), {"name": "bisenet", "scale": "1", "method": "bisenet"})
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        assert torch.equal(arseg.keyframe(image)[0], bisenet.keyframe(image)[0])


def test_the_reference_follows_the_motion():
    """With the low-resolution feature silenced, what a non-keyframe sees is the keyframe's feature,
    moved."""
    model = create(SMALL).eval()
    reference = torch.randn(1, model.high.feature_channels, 8, 20)
    low = torch.zeros(1, model.high.feature_channels, 4, 10)
    motion = torch.zeros(1, 2, 64, 160)
    with torch.no_grad():
        still = model.fuse(low, motion, reference)
        motion[:, 0] = 8.0  # one cell of a feature at stride 8
        moved = model.fuse(low, motion, torch.roll(reference, 1, 3))
    assert torch.allclose(moved[..., 5:-5], still[..., 5:-5], atol=1e-5)


def test_the_keyframe_network_stays_frozen():
    model = create(SMALL)
    phase = model.phases()[2]
    freeze(model, phase.frozen)
    before = {key: value.clone() for key, value in model.high.state_dict().items()}
    label = torch.randint(0, 4, (2, 64, 96))
    batch = Batch(
        torch.rand(2, 3, 64, 96),
        label,
        torch.ones(4),
        torch.rand(2, 3, 64, 96),
        torch.zeros(2, 2, 64, 96),
    )
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    sum(model.loss(phase, batch).values()).backward()
    optimiser.step()
    assert all(torch.equal(value, before[key]) for key, value in model.high.state_dict().items())
    assert model.fusion.query.weight.grad.abs().sum() > 0


def test_feature_similarity_is_zero_where_nothing_differs():
    """At scale 1, with the LR network equal to the HR one and CReFF adding nothing, both features
    are the same."""
    model = create("arseg[backbone=bise18,width=0.125,scale=1]").eval()
    model.begin_phase(model.phases()[1])
    torch.nn.init.zeros_(model.fusion.value.weight)
    label = torch.zeros(1, 64, 96, dtype=torch.long)
    batch = Batch(
        torch.rand(1, 3, 64, 96),
        label,
        torch.ones(4),
        torch.rand(1, 3, 64, 96),
        torch.zeros(1, 2, 64, 96),
    )
    with torch.no_grad():
        assert float(model.loss(model.phases()[2], batch)["feature"]) < 1e-8


@pytest.mark.parametrize("text", [SMALL, "arseg[width=0.125]", "arseg[style=semseg,width=0.125]"])
def test_at_full_scale_with_an_idle_fusion_a_repeated_keyframe_is_the_keyframe(text):
    """At distance 0: the LR network equal to the HR one and at its scale, the values that CReFF
    adds all zero."""
    model = create(text.replace("]", ",scale=1]")).eval()
    model.begin_phase(model.phases()[1])
    for parameter in model.fusion.value.parameters():
        torch.nn.init.zeros_(parameter)
    image = torch.rand(1, 3, 75, 101)
    with torch.no_grad():
        key, reference = model.keyframe(image)
        assert torch.allclose(
            model.nonkeyframe(image, torch.zeros(1, 2, 75, 101), reference), key, atol=1e-5
        )


def test_without_fusion_the_low_resolution_network_decides():
    """Table 3, w/o CReFF: classified at low resolution by the keyframe network's last convolution,
    then enlarged."""
    model = create("arseg[fusion=none,width=0.125]").eval()
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        small = resize(model.normalise(image), (32, 48))
        expected = resize(model.high.final(model.low.features(small)[0]), (64, 96))
        assert torch.equal(model.nonkeyframe(image, None, None), expected)
    assert model.needs == frozenset()


def test_the_warp_alone_classifies_the_moved_feature():
    """Table 3, +W_MV only: no low-resolution network at all."""
    model = create("arseg[fusion=warp,width=0.125]").eval()
    image, motion = torch.rand(1, 3, 64, 96), torch.full((1, 2, 64, 96), 2.0)
    with torch.no_grad():
        _, reference = model.keyframe(image)
        expected = model.high.classify(warp(reference, motion), (64, 96))
        assert torch.equal(model.nonkeyframe(image, motion, reference), expected)
    assert [phase.name for phase in model.phases()] == ["hr"]
    assert "low" in model.training_only()


def test_without_warp_no_motion_is_needed():
    model = create("arseg[warp=off,width=0.125]").eval()
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        _, reference = model.keyframe(image)
        assert model.nonkeyframe(image, None, reference).isfinite().all()
    assert model.needs == frozenset()


def test_divergence_training_compares_predictions():
    """fst=kl_predictions is 0 where both networks predict the same, and fst=none has no such
    term."""
    model = create("arseg[backbone=bise18,width=0.125,scale=1,fst=kl_predictions]").eval()
    model.begin_phase(model.phases()[1])
    for parameter in model.fusion.value.parameters():
        torch.nn.init.zeros_(parameter)
    batch = Batch(
        torch.rand(1, 3, 64, 96), torch.zeros(1, 64, 96, dtype=torch.long), torch.ones(4),
        torch.rand(1, 3, 64, 96),
        torch.zeros(1, 2, 64, 96),
    )  # fmt: skip
    with torch.no_grad():
        assert abs(float(model.loss(model.phases()[2], batch)["feature"])) < 1e-6
        assert "feature" not in create("arseg[backbone=bise18,width=0.125,fst=none]").eval().loss(
            model.phases()[2], batch
        )


@pytest.mark.parametrize(
    "text",
    [
        "arseg[location=ntask,fusion=warp]",
        "arseg[backbone=bise18,style=semseg]",
        "arseg[backbone=bise18,location=nfeat]",
    ],
)
def test_what_does_not_exist_together_is_refused_in_words(text):
    with pytest.raises(UsageError, match=r"leave it out|fuses before c1x1"):
        create(text)


@pytest.mark.parametrize(
    "text", ["arseg[backbone=vgg]", "arseg[scale=2]", "arseg[window=4]", "arseg[warp=magic]"]
)
def test_wrong_parameters_are_refused_in_words(text):
    with pytest.raises(UsageError, match="arseg: "):
        create(text)


def test_foreign_weights_are_refused_in_words():
    with pytest.raises(WeightsError, match="starts from weights of bisenet"):
        create(SMALL).initialise({}, {"name": "pspnet", "method": "pspnet"})


@pytest.mark.parametrize(("start", "copied"), [("hr", True), ("own", False)])
def test_where_the_low_resolution_network_starts(start, copied):
    """From the keyframe network, or from what it holds, as the authors' does from ImageNet; the
    last convolution is one."""
    model = create(f"arseg[width=0.125,start={start}]")
    high, low = model.high.backbone.conv1.weight, model.low.backbone.conv1.weight
    torch.nn.init.ones_(high)
    torch.nn.init.zeros_(low)
    model.begin_phase(model.phases()[1])
    assert torch.equal(low, high) == copied
    assert low.abs().sum() == 0 or copied
    with pytest.raises(UsageError, match="unknown start 'zero' of arseg: expected hr or own"):
        create("arseg[start=zero]")
