"""What is AR-Seg's own: shared classifier, frozen keyframe network, warp options, weights of per-frame networks."""

import pytest
import torch

from vssbench import registry
from vssbench.errors import UsageError, WeightsError
from vssbench.segmenter import Batch
from vssbench.training.loop import freeze
from vssbench.variant import parse_variant

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
    """With the low-resolution feature silenced, what a non-keyframe sees is the keyframe's feature, moved."""
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
    batch = Batch(torch.rand(2, 3, 64, 96), label, torch.ones(4), torch.rand(2, 3, 64, 96), torch.zeros(2, 2, 64, 96))
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    sum(model.loss(phase, batch).values()).backward()
    optimiser.step()
    assert all(torch.equal(value, before[key]) for key, value in model.high.state_dict().items())
    assert model.fusion.query.weight.grad.abs().sum() > 0


def test_feature_similarity_is_zero_where_nothing_differs():
    """At scale 1, with the LR network equal to the HR one and CReFF adding nothing, both features are the same."""
    model = create("arseg[backbone=bise18,width=0.125,scale=1]").eval()
    model.begin_phase(model.phases()[1])
    torch.nn.init.zeros_(model.fusion.value.weight)
    label = torch.zeros(1, 64, 96, dtype=torch.long)
    batch = Batch(torch.rand(1, 3, 64, 96), label, torch.ones(4), torch.rand(1, 3, 64, 96), torch.zeros(1, 2, 64, 96))
    with torch.no_grad():
        assert float(model.loss(model.phases()[2], batch)["feature"]) < 1e-8


@pytest.mark.parametrize("text", ["arseg[backbone=vgg]", "arseg[scale=2]", "arseg[window=4]", "arseg[warp=magic]"])
def test_wrong_parameters_are_refused_in_words(text):
    with pytest.raises(UsageError, match="arseg: "):
        create(text)


def test_foreign_weights_are_refused_in_words():
    with pytest.raises(WeightsError, match="starts from weights of bisenet"):
        create(SMALL).initialise({}, {"name": "pspnet", "method": "pspnet"})
