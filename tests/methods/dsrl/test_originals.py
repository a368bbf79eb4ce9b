"""DSRL's published networks with their recorded weights give their recorded outputs.

``dsrl_espnetv2`` is the authors' network (its release holds the SSSR head and refers to EdgeNets
for the rest) as completed in xidaduo2/DSRL, which reaches 66.45 with the authors' checkpoint for
512x1024 where they print 66.50.
"""

import pytest
import torch

from tests.weights.golden import load_sample
from vssbench.core import registry
from vssbench.core.variant import Variant
from vssbench.methods.dsrl.originals import ORIGINALS

AUTHORS, EDGENETS, DOOTMAAN, JFZHANG = ORIGINALS
TOLERANCE = 1e-5
SAMPLES = {
    "dsrl_espnetv2": AUTHORS,
    "edgenets_espnetv2": EDGENETS,
    "dootmaan_dsrl_deeplabv3plus": DOOTMAAN,
}


def loaded(original, state):
    """Our method with a checkpoint's weights, every entry of ours given exactly once."""
    assert [other for other in ORIGINALS if other.recognises(state)] == [original]
    model = registry.create(
        "methods",
        Variant("dsrl", original.parameters(state)),
        classes=original.count_classes(state),
    )
    used = [name for name in state if original.reason_unused(name) is None]
    renamed = {original.rename(name): state[name] for name in used}
    assert len(renamed) == len(used)
    missing = model.load_state_dict(renamed, strict=False)
    assert not missing.unexpected_keys
    assert {name.rsplit(".", 1)[1] for name in missing.missing_keys} <= {"num_batches_tracked"}
    return model.eval()


@pytest.mark.parametrize("name", SAMPLES)
def test_outputs_are_the_originals(name):
    sample, original = load_sample(name), SAMPLES[name]
    model = loaded(original, sample.weights)
    with torch.inference_mode():
        outputs = original.outputs(model, sample.inputs)
    for expected, output in zip(sample.outputs, outputs, strict=True):
        assert expected.difference(output) < TOLERANCE
    reasons = {original.reason_unused(key) for key in sample.weights} - {None}
    assert len(reasons) == (1 if original is DOOTMAAN else 2)


def test_the_code_under_dootmaans_is_its_network_without_the_parts_that_dsrl_adds():
    added = ("sr_decoder.", "pointwise.", "up_")
    names = {
        name: value
        for name, value in load_sample("dootmaan_dsrl_deeplabv3plus").weights.items()
        if not name.startswith(added)
    }
    model = loaded(JFZHANG, names)
    image = torch.randn(1, 3, 45, 61)
    with torch.inference_mode():
        (logits,) = JFZHANG.outputs(model, [image])
    assert logits.shape == (1, 19, 45, 61)
    assert model.display == "DeepLabv3+ 0.5x"


@pytest.mark.parametrize("original", ORIGINALS, ids=lambda original: original.name)
def test_foreign_files_are_not_recognised(original):
    marks = dict.fromkeys(original.marks, torch.empty(0))
    assert original.recognises(marks)
    for mark in original.marks:
        assert not original.recognises(
            {name: value for name, value in marks.items() if name != mark}
        )
    for other in ORIGINALS:
        assert other is original or not other.recognises(marks)
