"""One suite for every method: what the harness relies on. A new plug-in gets it without a line of
its own."""

import copy
import functools
import re
import socket

import pytest
import torch

from vssbench.core import registry
from vssbench.core.errors import DataError, UsageError
from vssbench.core.segmenter import Batch, VideoSegmenter
from vssbench.core.variant import Variant, parse_variant
from vssbench.cost.gmacs import count
from vssbench.nets.resize import resize
from vssbench.protocol import Dense
from vssbench.run.experiment import Experiment
from vssbench.run.measuring import measure
from vssbench.run.store import RunStore
from vssbench.training.frozen import freeze
from vssbench.training.gradients import right_gradients
from vssbench.weights.file import open_weights
from vssbench.weights.writing import save_weights

#: beside every plug-in at its defaults: variants that are other networks
VARIANTS = (
    "arseg[backbone=bise18]",
    "arseg[style=semseg]",
    "arseg[fusion=global]",
    "arseg[fusion=conv]",
    "arseg[fusion=none]",
    "arseg[fusion=warp]",
    "arseg[location=ntask]",
    "arseg[location=nfeat]",
    "arseg[warp=paper]",
    "arseg[shared=off,fst=kl]",
    "bisenet[form=mmseg]",
    "bisenet[form=ooooverflow]",
    "bisenet[form=torchseg,backbone=xception39]",
    "bisenet[form=torchseg_speed]",
    "copy[network=bisenet]",
    "dff[backbone=psp18,style=upsample]",
    "dff[backbone=psp50,flow=narrow]",
    "dff[flow=half,flow_form=pytorch_bn]",
    "dff[flow=inception,scale_field=off]",
    "dff[motion=codec]",
    "dsrl[base=bisenet]",
    "dsrl[base=deeplabv3plus101,form=dootmaan]",
    "dsrl[base=pspnet18]",
    "dsrl[sssr=off,sisr=off,fa=off]",
    "icnet[backbone=resnet18]",
    "icnet[form=liminn]",
    "icnet[form=mmseg]",
    "pspnet[style=mmseg]",
    "pspnet[style=semseg]",
    "pspnet[style=semseg,layers=50]",
    "pspnet[layers=50]",
    "pspnet[scale=0.5]",
    "warp[style=semseg]",
)
#: the fast tests take each method as it is by default
METHODS = [
    pytest.param(name, marks=pytest.mark.slow) if name in VARIANTS else name
    for name in sorted({*registry.plugins("methods"), *VARIANTS})
]
CLASSES = 5
SIZE = (64, 96)


def small(text: str) -> Variant:
    """The variant at an eighth of its channels where it has a width."""
    variant = parse_variant(text)
    if "width" not in registry.parameters(registry.load("methods", variant.name)):
        return variant
    return Variant(variant.name, {**variant.params, "width": 0.125})


def number_of_classes(text: str) -> int:
    """The classes that a method is built for here: 5, or as many as it takes at least."""
    cls = registry.load("methods", parse_variant(text).name)
    return max(CLASSES, cls.minimum_classes)


def build(text: str) -> VideoSegmenter:
    torch.manual_seed(0)
    return registry.create("methods", small(text), classes=number_of_classes(text)).eval()


def images(number: int, seed: int = 1, size: tuple[int, int] = SIZE) -> torch.Tensor:
    return torch.rand(number, 3, *size, generator=torch.Generator().manual_seed(seed))


def both(
    model: VideoSegmenter, image: torch.Tensor, motion: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of a keyframe and of the same image as a non-keyframe, as the harness has them: of the
    classes, at the image's size, whatever the method's own is."""
    size = (image.shape[-2], image.shape[-1])
    with torch.inference_mode():
        key, reference = model.begin(image)
        return resize(key, size), resize(model.follow(image, motion, reference), size)


def close(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Equal within 1e-4 of the largest magnitude."""
    return float((first - second).abs().max()) <= 1e-4 * float(second.abs().max())


def expect_logits(name: str, logits: torch.Tensor, size: tuple[int, int]) -> None:
    """Fail with the classes and the size that were asked for, and what came."""
    classes = number_of_classes(name)
    asked = f"{name} built for {classes} classes (minimum_classes), on an image of {size}: "
    assert logits.shape == (1, classes, *size), f"{asked}logits of {tuple(logits.shape)}"
    assert torch.isfinite(logits).all(), f"{asked}logits that are not finite"


@pytest.mark.parametrize("name", METHODS)
class TestMethod:
    def test_has_a_summary_and_a_display_name(self, name):
        assert len(registry.find("methods", parse_variant(name).name).summary) > 20
        assert build(name).display

    def test_logits_of_both_kinds_of_frame(self, name):
        for logits in both(build(name), images(1), torch.zeros(1, 2, *SIZE)):
            expect_logits(name, logits, SIZE)
            assert logits.dtype == torch.float32

    def test_ours_give_logits_of_the_images_size(self, name):
        """A method from elsewhere may give any size; those of this project give the image's."""
        model = build(name)
        with torch.inference_mode():
            logits, _ = model.keyframe(images(1))
        if registry.find("methods", parse_variant(name).name).entry_point is None:
            words = f"a file of methods/ enlarges logits to {SIZE}: they are {logits.shape[-2:]}"
            assert logits.shape[-2:] == SIZE, words
        assert logits.ndim == 4

    def test_without_later_work_a_repeated_frame_has_the_keyframes_labels(self, name):
        """At distance 0, with no motion. A method that trains on pairs has a second network, and
        its own test."""
        model = build(name)
        if any(phase.data == "pairs" for phase in model.phases()) or "fusion=none" in name:
            assert model.phases()
            return
        key, repeated = both(model, images(1), torch.zeros(1, 2, *SIZE))
        assert torch.equal(key.argmax(1), repeated.argmax(1))

    def test_is_deterministic_and_keeps_no_hidden_state(self, name):
        model = build(name)
        before = copy.deepcopy(model.state_dict())
        with torch.no_grad():
            _, reference = model.begin(images(1))
            first = model.follow(images(1, 2), torch.ones(1, 2, *SIZE), reference)
            model.begin(images(1, 3))  # another video in between
            second = model.follow(images(1, 2), torch.ones(1, 2, *SIZE), reference)
        assert torch.equal(first, second)
        assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())

    def test_a_batch_is_its_images_one_by_one(self, name):
        model = build(name)
        motion = torch.randn(2, 2, *SIZE, generator=torch.Generator().manual_seed(4)) * 3
        with torch.no_grad():
            _, reference = model.begin(images(2))
            together = model.follow(images(2, 2), motion, reference)
            for n in range(2):
                _, alone = model.begin(images(2)[n : n + 1])
                single = model.follow(images(2, 2)[n : n + 1], motion[n : n + 1], alone)
                assert close(single, together[n : n + 1])

    @pytest.mark.parametrize("size", [(75, 101), (359, 481)])
    def test_odd_sizes(self, name, size):
        key, other = both(build(name), images(1, size=size), torch.zeros(1, 2, *size))
        expect_logits(name, key, size)
        expect_logits(name, other, size)

    def test_bf16(self, name):
        """Under autocast both kinds of frame run, and nearly agree with float32."""
        model, motion = build(name), torch.full((1, 2, *SIZE), 1.5)
        exact = both(model, images(1), motion)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = both(model, images(1), motion)
        for fine, coarse in zip(exact, rough, strict=True):
            assert torch.isfinite(coarse).all()
            spread = float(fine.float().std()) or 1.0
            assert float((fine.float() - coarse.float()).abs().mean()) < 0.25 * spread

    def test_channels_last_changes_nothing(self, name):
        model, motion = build(name), torch.full((1, 2, *SIZE), -2.25)
        plain = both(model, images(1), motion)
        model = model.to(memory_format=torch.channels_last)
        other = both(model, images(1).contiguous(memory_format=torch.channels_last), motion)
        for first, second in zip(plain, other, strict=True):
            assert close(first, second)

    def test_needs_no_network(self, name, monkeypatch):
        def refuse(*args, **kwargs):
            raise AssertionError(f"{name} opens a connection")

        monkeypatch.setattr(socket.socket, "connect", refuse)
        assert both(build(name), images(1), torch.zeros(1, 2, *SIZE))[0].isfinite().all()

    def test_every_phase_trains(self, name):
        model = build(name)
        label = torch.randint(
            0, model.classes, (2, *SIZE), generator=torch.Generator().manual_seed(5)
        )
        motion = torch.randn(2, 2, *SIZE, generator=torch.Generator().manual_seed(6))
        batch = Batch(images(2), label, torch.ones(model.classes), images(2, 2), motion)
        if hasattr(batch, "flow"):
            batch.flow = motion
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
            moved = {
                key
                for key, p in model.named_parameters()
                if p.grad is not None and p.grad.abs().sum() > 0
            }
            assert moved
            assert not any(key.startswith(f"{frozen}.") for key in moved for frozen in phase.frozen)

    def test_every_phase_trains_in_bf16_and_channels_last(self, name):
        """The default of training: finite, and every layer's gradient is right or is made so."""
        model = build(name).to(memory_format=torch.channels_last)
        label = torch.randint(
            0, model.classes, (2, *SIZE), generator=torch.Generator().manual_seed(5)
        )
        motion = torch.randn(2, 2, *SIZE, generator=torch.Generator().manual_seed(6))
        pictures = [
            images(2, seed).contiguous(memory_format=torch.channels_last) for seed in (1, 2)
        ]
        batch = Batch(pictures[0], label, torch.ones(model.classes), pictures[1], motion, motion)

        def loss(phase):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return torch.stack(
                    [term.float() for term in model.loss(phase, batch).values()]
                ).sum()

        for phase in model.phases():
            model.begin_phase(phase)
            freeze(model, phase.frozen)
            found = right_gradients(model, functools.partial(loss, phase), "cpu", "bf16")
            assert not found.wrong
            assert not found.unchecked
            model.zero_grad()
            loss(phase).backward()
            gradients = {key: p.grad for key, p in model.named_parameters() if p.grad is not None}
            assert gradients
            assert all(gradient.isfinite().all() for gradient in gradients.values())

    def test_cost_counts_both_kinds_of_frame(self, name):
        cost = count(parse_variant(name), number_of_classes(name), 96, 128)
        assert cost.gmacs_key > 0
        assert 0 <= cost.gmacs_nonkey <= cost.gmacs_key * 1.05
        assert cost.params > 0

    def test_training_only_parts_are_idle_at_inference(self, name):
        model, motion = build(name), torch.ones(1, 2, *SIZE)
        expected = both(model, images(1), motion)
        for key, parameter in model.named_parameters():
            if key.startswith(tuple(f"{prefix}." for prefix in model.training_only())):
                parameter.data.fill_(float("nan"))
        for before, after in zip(expected, both(model, images(1), motion), strict=True):
            assert torch.equal(before, after)

    def test_weights_survive_their_file(self, name, tmp_path):
        """Saved and opened again, a method gives the same labels; the file is held in half
        precision."""
        model = build(name)
        path = tmp_path / "w.safetensors"
        names = tuple(f"class {number}" for number in range(model.classes))
        save_weights(path, model, small(name), names, "none", {})
        torch.manual_seed(99)
        other = registry.create("methods", small(name), classes=model.classes).eval()
        file = open_weights(path)
        other.load_state_dict(file.tensors(), strict=False)
        key, again = (
            both(m, images(1), torch.zeros(1, 2, *SIZE))[0].argmax(1) for m in (model, other)
        )
        assert float((key == again).float().mean()) > 0.95

    def test_what_a_codec_cannot_give_is_refused_in_words(self, name, patterns, tmp_path):
        """A raw stream carries no motion: a method that needs it becomes a refused row, any other
        is measured."""
        torch.manual_seed(0)
        variant = small(name)
        further = range(len(patterns.classes), number_of_classes(name))
        patterns.classes += tuple(f"absent {number}" for number in further)
        patterns.palette += tuple((number, number, number) for number in further)
        model = registry.create("methods", variant, classes=len(patterns.classes))
        path = tmp_path / "w.safetensors"
        save_weights(path, model, variant, patterns.classes, "patterns", {})
        coder = registry.create("codecs", Variant("raw"), gop=4)
        experiment = Experiment(
            variant,
            open_weights(path),
            Variant("patterns"),
            patterns,
            Variant("raw"),
            coder,
            Dense(),
        )
        result = measure(experiment, RunStore(tmp_path / "runs"), "test")
        if "motion" in model.needs:
            assert result.status == "refused"
            assert re.search(
                "needs motion vectors, and raw carries none; choose a codec", result.reason
            )
        else:
            assert result.status == "done", result.reason


def test_fewer_classes_than_a_method_takes_are_refused_in_words():
    class Many(VideoSegmenter):
        minimum_classes = 6

        def keyframe(self, image):
            return image, None

    with pytest.raises(UsageError, match="Many takes at least 6 classes, and there are 5"):
        Many(5)


def test_outputs_that_nobody_declares_are_refused_in_words():
    class Thirteen(VideoSegmenter):
        def keyframe(self, image):
            return image.new_zeros(1, 13, 8, 8), None

    with pytest.raises(DataError, match="gives 13 outputs for 12 classes: expected one a class"):
        Thirteen(12).begin(torch.zeros(1, 3, 8, 8))
