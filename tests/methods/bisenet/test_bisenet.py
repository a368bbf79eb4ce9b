"""BiSeNet as a method: its parameters, and how each form is trained."""

import pytest
import torch
import torch.nn.functional as F

from vssbench.core import registry
from vssbench.core.errors import UsageError
from vssbench.core.segmenter import Batch, Phase
from vssbench.core.variant import Variant, parse_variant
from vssbench.cost.gmacs import count
from vssbench.methods.bisenet import BACKBONES
from vssbench.nets.losses import cross_entropy, dice_loss, ohem_cross_entropy, probability_ohem

EVERY = [(form, backbone) for form, backbones in BACKBONES.items() for backbone in backbones]


def build(classes=5, **params):
    torch.manual_seed(0)
    return registry.create(
        "methods", Variant("bisenet", {"width": 0.125, **params}), classes=classes
    )


def batch(height=64, width=96):
    generator = torch.Generator().manual_seed(1)
    label = torch.randint(0, 5, (2, height, width), generator=generator)
    label[:, :9] = 255
    weights = torch.tensor([1.0, 2.0, 0.5, 1.0, 3.0])
    return Batch(torch.rand(2, 3, height, width, generator=generator), label, weights)


@pytest.mark.parametrize(("form", "backbone"), EVERY)
def test_every_form_and_backbone_runs_and_trains_at_odd_sizes(form, backbone):
    model = build(form=form, backbone=backbone)
    given = batch(75, 101)
    terms = model.loss(Phase("task"), given)
    sum(terms.values()).backward()
    assert len(terms) == 3
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    with torch.no_grad():
        logits, reference = model.eval().keyframe(given.image)
    assert logits.shape == (2, 5, 75, 101)
    assert reference is None


@pytest.mark.parametrize(
    ("params", "loss"),
    [
        ({}, ohem_cross_entropy),
        ({"form": "torchseg"}, probability_ohem),
        ({"form": "mmseg"}, cross_entropy),
        ({"form": "mmseg", "loss": "ohem"}, ohem_cross_entropy),
        ({"form": "ooooverflow"}, dice_loss),
        ({"form": "ooooverflow", "loss": "ce"}, cross_entropy),
        ({"form": "torchseg", "loss": "ce"}, cross_entropy),
        ({"loss": "dice"}, dice_loss),
    ],
)
def test_the_task_has_the_forms_loss_unless_another_is_asked_for(params, loss):
    model, given = build(**params).eval(), batch()
    with torch.no_grad():
        logits, _ = model.keyframe(given.image)
        terms = model.loss(Phase("task"), given)
    assert float(terms["task"]) == pytest.approx(
        float(loss(logits, given.label, given.class_weights)), rel=1e-5
    )


@pytest.mark.parametrize(
    ("form", "aligned"), [("coincheung", False), ("torchseg", True), ("mmseg", False)]
)
def test_auxiliary_heads_have_the_tasks_loss_with_weight_one(form, aligned):
    """Eq. 2 with alpha = 1, on logits resized to the label."""
    model, given = build(form=form).eval(), batch()
    with torch.no_grad():
        terms = model.loss(Phase("task"), given)
        contexts = model.net.context(model.normalise(given.image))
        for name, context in zip(("auxiliary8", "auxiliary16"), contexts, strict=True):
            logits = F.interpolate(
                getattr(model.net, name)(context),
                size=(64, 96),
                mode="bilinear",
                align_corners=aligned,
            )
            expected = model.net.task_loss(logits, given.label, given.class_weights)
            assert float(terms[name]) == pytest.approx(float(expected), rel=1e-5)


def test_real_time_form_trains_on_every_eighth_pixel_of_the_label():
    model, given = build(form="torchseg_speed").eval(), batch()
    with torch.no_grad():
        terms = model.loss(Phase("task"), given)
        feature, (eight, sixteen) = model.net.features(model.normalise(given.image))
        label = torch.stack(
            [given.label[:, 8 * y, 8 * x] for y in range(8) for x in range(12)], 1
        ).view(2, 8, 12)
        sixteen = F.interpolate(
            model.net.auxiliary16(sixteen), size=(8, 12), mode="bilinear", align_corners=True
        )
        logits = {
            "task": model.net.final(feature),
            "auxiliary8": model.net.auxiliary8(eight),
            "auxiliary16": sixteen,
        }
    assert terms.keys() == logits.keys()
    for name, value in logits.items():
        expected = float(probability_ohem(value, label, given.class_weights))
        assert float(terms[name]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "bisenet[form=paper]",
            "unknown form 'paper' of bisenet: expected coincheung, torchseg, torchseg_speed, mmseg "
            "or ooooverflow",
        ),
        (
            "bisenet[backbone=vgg16]",
            "unknown backbone 'vgg16' of bisenet: expected resnet18, resnet34",
        ),
        (
            "bisenet[form=mmseg,backbone=xception39]",
            "no backbone 'xception39'; expected one of resnet18, resnet50, resnet101",
        ),
        ("bisenet[loss=focal]", "unknown loss 'focal' of bisenet: expected authors, ohem"),
        ("bisenet[scale=2]", "scale=2 is not between"),
    ],
)
def test_wrong_values_are_refused_with_the_right_ones(text, message):
    with pytest.raises(UsageError, match=message):
        registry.create("methods", parse_variant(text), classes=5)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("bisenet", "BiSeNet18"),
        ("bisenet[backbone=xception39,form=torchseg]", "BiSeNet-Xception39 (torchseg)"),
        ("bisenet[scale=0.5,form=mmseg,backbone=resnet50]", "BiSeNet50 (mmseg) 0.5x"),
        ("bisenet[width=0.5]", "BiSeNet18 (width 0.5)"),
    ],
)
def test_display_names(text, name):
    with torch.device("meta"):
        assert registry.create("methods", parse_variant(text), classes=5).display == name


def test_auxiliary_heads_are_neither_counted_nor_run():
    found = count(parse_variant("bisenet[form=torchseg]"), 19, 720, 960)
    assert found.params == 13_494_777 - 600_614
    assert found.gmacs_key == pytest.approx(34.32, abs=0.005)
