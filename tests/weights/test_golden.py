"""Under the originals' weights, imported, our models give the originals' outputs, within 1e-4 of
the largest value."""

import pytest
import torch

from tests.weights.golden import CASES, fixtures, load_sample, load_whole, run

TOLERANCE = 1e-4


@pytest.mark.parametrize("name", CASES)
def test_outputs_equal_the_originals(name, tmp_path):
    sample = load_sample(name)
    imported, outputs = run(sample, tmp_path)
    assert len(outputs) == len(sample.outputs)
    assert all(
        expected.difference(output) < TOLERANCE
        for expected, output in zip(sample.outputs, outputs, strict=True)
    )
    reasons = {entry.reason for entry in imported.unused}
    assert len(imported.used) + len(imported.unused) == len(sample.weights)
    assert all(reasons)
    folder = fixtures()
    if folder is not None:  # every value, where the whole recordings are at hand
        whole = load_whole(folder, name).outputs
        assert all(
            expected.difference(output) < TOLERANCE
            for expected, output in zip(whole, outputs, strict=True)
        )


def test_a_wrong_weight_is_noticed(tmp_path):
    """The comparison can fail: one convolution's weights negated are far outside the tolerance."""
    sample = load_sample("arseg_camvid_psp18_hr")
    sample.weights["up_3.conv.0.weight"] = -sample.weights["up_3.conv.0.weight"]
    _, outputs = run(sample, tmp_path)
    assert sample.outputs[0].difference(outputs[0]) > 100 * TOLERANCE
    assert sample.outputs[0].difference(torch.zeros(1, 2)) == float("inf")
