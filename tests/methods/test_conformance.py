"""One suite for every method: what the harness relies on. A new plug-in gets it without a line of its own."""

import copy

import pytest
import torch

from vssbench import registry
from vssbench.cost.gmacs import count
from vssbench.segmenter import Batch, VideoSegmenter
from vssbench.variant import Variant

METHODS = sorted(registry.plugins("methods"))
CLASSES = 5
SIZE = (64, 96)


def build(name: str) -> VideoSegmenter:
    torch.manual_seed(0)
    small = {"width": 0.125} if "width" in registry.parameters(registry.load("methods", name)) else {}
    return registry.create("methods", Variant(name, small), classes=CLASSES).eval()


def images(count: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(count, 3, *SIZE, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", METHODS)
class TestMethod:
    def test_has_a_summary_and_a_display_name(self, name):
        assert len(registry.find("methods", name).summary) > 20
        assert build(name).display

    def test_logits_of_both_kinds_of_frame(self, name):
        model = build(name)
        with torch.no_grad():
            key, reference = model.keyframe(images(1))
            other = model.nonkeyframe(images(1, 2), torch.zeros(1, 2, *SIZE), reference)
        for logits in (key, other):
            assert logits.shape[:2] == (1, CLASSES)
            assert logits.dtype == torch.float32
            assert torch.isfinite(logits).all()

    def test_is_deterministic_and_keeps_no_hidden_state(self, name):
        model = build(name)
        before = copy.deepcopy(model.state_dict())
        with torch.no_grad():
            _, reference = model.keyframe(images(1))
            first = model.nonkeyframe(images(1, 2), torch.ones(1, 2, *SIZE), reference)
            model.keyframe(images(1, 3))  # another video in between
            second = model.nonkeyframe(images(1, 2), torch.ones(1, 2, *SIZE), reference)
        assert torch.equal(first, second)
        assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())

    def test_a_batch_is_its_images_one_by_one(self, name):
        model = build(name)
        motion = torch.randn(2, 2, *SIZE) * 3
        with torch.no_grad():
            _, reference = model.keyframe(images(2))
            together = model.nonkeyframe(images(2, 2), motion, reference)
            for n in range(2):
                _, alone = model.keyframe(images(2)[n : n + 1])
                single = model.nonkeyframe(images(2, 2)[n : n + 1], motion[n : n + 1], alone)
                assert torch.allclose(single, together[n : n + 1], atol=1e-3)

    def test_odd_sizes(self, name):
        model = build(name)
        image, motion = torch.rand(1, 3, 75, 101), torch.zeros(1, 2, 75, 101)
        with torch.no_grad():
            logits, reference = model.keyframe(image)
            assert model.nonkeyframe(image, motion, reference).shape == logits.shape

    def test_every_phase_trains(self, name):
        model = build(name)
        label = torch.randint(0, CLASSES, (2, *SIZE))
        batch = Batch(images(2), label, torch.ones(CLASSES), images(2, 2), torch.randn(2, 2, *SIZE))
        for phase in model.phases():
            model.train()
            model.requires_grad_(True)
            for frozen in phase.frozen:
                model.get_submodule(frozen).eval().requires_grad_(False)
            model.begin_phase(phase)
            terms = model.loss(phase, batch)
            assert all(torch.isfinite(term) and term.ndim == 0 for term in terms.values())
            model.zero_grad()
            sum(terms.values()).backward()
            moved = {key.split(".")[0] for key, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
            assert moved
            assert not moved & set(phase.frozen)

    def test_cost_counts_both_kinds_of_frame(self, name):
        cost = count(Variant(name), CLASSES, 96, 128)
        assert cost.gmacs_key > 0
        assert 0 <= cost.gmacs_nonkey <= cost.gmacs_key * 1.05
        assert cost.params > 0

    def test_training_only_parts_are_idle_at_inference(self, name):
        model = build(name)
        with torch.no_grad():
            expected, _ = model.keyframe(images(1))
            for key, parameter in model.named_parameters():
                if key.startswith(tuple(f"{prefix}." for prefix in model.training_only())):
                    parameter.fill_(float("nan"))
            result, _ = model.keyframe(images(1))
        assert torch.equal(result, expected)
