"""The originals' FlowNet-S with their recorded weights gives their recorded flow."""

import importlib.util
import os
from pathlib import Path

import pytest
import torch

from vssbench.core import registry
from vssbench.core.variant import Variant
from vssbench.methods.dff.originals import ORIGINALS
from vssbench.weights.importer import import_checkpoints

FIXTURES = os.environ.get("VSSBENCH_TEST_FIXTURES", "")
FORMS = {
    "flownets": {"flow": "flownets", "flow_form": "pytorch"},
    "flownets_bn": {"flow": "flownets", "flow_form": "pytorch_bn"},
    "yzfzzz_dff_flownet": {"flow": "narrow", "flow_form": "mxnet"},
}


def golden(name):
    """(weights by original key, inputs, outputs) of a recorded model."""
    if not FIXTURES:
        pytest.skip("VSSBENCH_TEST_FIXTURES does not name the folder of the recorded originals")
    spec = importlib.util.spec_from_file_location("reader", Path(FIXTURES) / "reader.py")
    reader = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reader)
    return reader.load(name)[:3]


@pytest.mark.parametrize("name", FORMS)
def test_equals_the_original(name, tmp_path):
    weights, inputs, outputs = golden(name)
    path = tmp_path / f"{name}.pth"
    torch.save({"arch": name, "state_dict": weights, "div_flow": 20}, path)
    imported = import_checkpoints(Variant("dff", {"backbone": "resnet18"}), [path])
    assert registry.resolved("methods", imported.variant).items() >= FORMS[name].items()
    assert imported.missing == ["net", "flow.scale"]
    assert all(entry.name.endswith("num_batches_tracked") for entry in imported.unused)
    model = registry.create("methods", imported.variant, classes=2).eval()
    model.load_state_dict(imported.state, strict=False)
    with torch.no_grad():
        ours = imported.originals[0].outputs(model, inputs)
    for mine, theirs in zip(ours, outputs, strict=True):
        assert mine.shape == theirs.shape
        assert float((mine - theirs).abs().max()) <= 1e-4 * float(theirs.abs().max())


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("conv3_1.0.weight", "encoder.conv3_1.0.weight"),
        ("conv1.1.running_var", "encoder.conv1.1.running_var"),
        ("deconv5.0.weight", "deconv.5.0.weight"),
        ("predict_flow2.weight", "predict.2.weight"),
        ("upsampled_flow6_to_5.weight", "enlarge.6.weight"),
        ("upsample_flow3to2.bias", "enlarge.3.bias"),
    ],
)
def test_names(theirs, ours):
    assert {original.rename(theirs) for original in ORIGINALS} == {f"flow.network.{ours}"}


def test_a_checkpoint_of_flownet_c_is_not_taken_for_flownet_s():
    marks = dict.fromkeys(ORIGINALS[0].marks, torch.empty(0))
    assert ORIGINALS[0].recognises(marks)
    assert not ORIGINALS[0].recognises({**marks, "conv_redir.0.weight": torch.empty(0)})
