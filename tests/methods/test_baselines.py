"""The baselines that do no work after the keyframe, and the weights that they borrow."""

import pytest
import torch

from vssbench.core import registry
from vssbench.core.errors import UsageError, WeightsError
from vssbench.core.variant import parse_variant
from vssbench.cost.gmacs import count
from vssbench.weights.file import check_fit, choose_shipped, fitting, open_weights, save_weights


def create(text, classes=4):
    torch.manual_seed(0)
    return registry.create("methods", parse_variant(text), classes=classes).eval()


def test_copy_repeats_the_keyframe():
    model = create("copy[width=0.125]")
    with torch.no_grad():
        logits, reference = model.keyframe(torch.rand(1, 3, 32, 48))
        assert torch.equal(model.nonkeyframe(torch.rand(1, 3, 32, 48), None, reference), logits)


def test_warp_looks_up_the_nearest_label():
    """Every pixel by hand: rounded position, clamped to the picture."""
    model = create("warp[width=0.125]")
    reference = torch.randint(0, 4, (1, 5, 7))
    motion = torch.randn(1, 2, 5, 7, generator=torch.Generator().manual_seed(0)) * 3
    labels = model.nonkeyframe(torch.rand(1, 3, 5, 7), motion, reference)[0].argmax(0)
    for y in range(5):
        for x in range(7):
            row = min(max(round(y + float(motion[0, 1, y, x])), 0), 4)
            column = min(max(round(x + float(motion[0, 0, y, x])), 0), 6)
            assert labels[y, x] == reference[0, row, column]


def test_they_cost_nothing_after_the_keyframe():
    for name in ("copy", "warp"):
        cost = count(parse_variant(name), 12, 96, 128)
        assert cost.gmacs_nonkey == 0
        assert cost.gmacs_key == count(parse_variant("pspnet"), 12, 96, 128).gmacs_key


def test_they_run_on_the_weights_of_their_network(tmp_path):
    pspnet = create("pspnet[width=0.125]")
    path = tmp_path / "w.safetensors"
    save_weights(path, pspnet, parse_variant("pspnet[width=0.125]"), tuple("abcd"), "none", {})
    file = open_weights(path)
    assert str(fitting(parse_variant("warp"), file)) == "warp[width=0.125]"
    check_fit(parse_variant("warp[width=0.125]"), tuple("abcd"), file)
    with pytest.raises(WeightsError, match="holds weights of"):
        check_fit(parse_variant("copy[network=bisenet,width=0.125]"), tuple("abcd"), file)
    with pytest.raises(WeightsError, match=r"width=0\.125, and warp has width=1"):
        check_fit(parse_variant("warp"), tuple("abcd"), file)


def test_shipped_weights_serve_them_too():
    dataset = registry.create("datasets", parse_variant("synthetic"))
    for name, network in (("copy", "pspnet"), ("warp[network=bisenet]", "bisenet")):
        variant, file = choose_shipped(parse_variant(name), "synthetic", tuple(dataset.classes))
        assert file.variant.name == network
        assert variant.params["width"] == 0.25


def test_wrong_parameters_are_refused_in_words():
    with pytest.raises(
        UsageError, match="copy: unknown network 'unet'; expected one of pspnet, bisenet"
    ):
        create("copy[network=unet]")
    with pytest.raises(UsageError, match="leave them out with network=bisenet"):
        create("warp[network=bisenet,layers=50]")
