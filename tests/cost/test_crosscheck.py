"""Three counters on every method and variant: the same products, or a cause for every
difference."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torch import nn

from tools.counters import PLAIN, REUSING
from vssbench.cli.cost import cost
from vssbench.core import registry
from vssbench.core.errors import UsageError
from vssbench.core.segmenter import VideoSegmenter
from vssbench.core.variant import Variant, parse_variant
from vssbench.cost.agreement import additions, causes, lines
from vssbench.cost.crosscheck import TOOLS, _Frame, _tallies, cross_check
from vssbench.cost.gmacs import count

CLASSES, SIZE = 5, (96, 128)
DOCUMENT = Path(__file__).parents[2] / "docs" / "cost.md"


def small(text):
    """A variant at an eighth of its channels."""
    variant = parse_variant(text)
    return Variant(variant.name, {**variant.params, "width": 0.125})


def document_lines():
    """The cells of every line of the document's tables."""
    text = DOCUMENT.read_text(encoding="utf-8")
    return {
        tuple(cell.strip() for cell in line.strip("|").split("|"))
        for line in text.splitlines()
        if line.startswith("|")
    }


DOCUMENTED = document_lines()


@pytest.mark.parametrize("method", PLAIN)
def test_counters_agree_on_plain_networks(method):
    check = cross_check(parse_variant(method), 12, 720, 960)
    ours = count(parse_variant(method), 12, 720, 960).gmacs_key
    assert check.per_frame
    for tool in TOOLS:
        assert check.key[tool].products == pytest.approx(ours, rel=1e-6), tool
        assert not check.key[tool].missed
        assert not check.key[tool].unknown
    assert {tuple(line) for line in lines(f"`{method}`", check, 12)} <= DOCUMENTED


@pytest.mark.parametrize("method", REUSING)
def test_counters_differ_by_what_they_have_no_rule_for(method):
    check = cross_check(parse_variant(method), 12, 720, 960)
    ours = count(parse_variant(method), 12, 720, 960)
    for tool in TOOLS:
        assert check.key[tool].completed == pytest.approx(ours.gmacs_key, rel=1e-6), tool
        assert check.nonkey[tool].completed == pytest.approx(
            ours.gmacs_nonkey, rel=1e-6, abs=1e-12
        ), tool
        assert not check.nonkey[tool].unknown
        apart = check.nonkey[tool].products < 0.99 * ours.gmacs_nonkey
        assert bool(check.nonkey[tool].missed) or not apart
    assert not any("nothing explains" in cause for cause in causes(check.nonkey))
    assert {tuple(line) for line in lines(f"`{method}`", check, 12)} <= DOCUMENTED


def test_every_method_is_in_one_of_the_tables():
    named = {parse_variant(text).name for text in (*PLAIN, *REUSING)}
    assert named >= set(registry.plugins("methods")) & {
        "arseg",
        "bisenet",
        "copy",
        "dff",
        "dsrl",
        "icnet",
        "pspnet",
        "warp",
    }


def test_operators_without_a_rule_are_told_by_name_calls_and_gmacs():
    check = cross_check(parse_variant("arseg"), 12, *SIZE)
    pixels = SIZE[0] * SIZE[1]
    for tool in ("fvcore", "ptflops"):
        missed = check.nonkey[tool].missed
        assert missed["vssbench.warp"] == (1, pytest.approx(4 * 64 * pixels / 1e9))
        assert missed["vssbench.local_similarity"] == (1, pytest.approx(49 * 64 * pixels / 1e9))
        assert missed["vssbench.local_weighting"] == (1, pytest.approx(49 * 64 * pixels / 1e9))
    assert check.gop("torch", 12) == pytest.approx(
        (check.key["torch"].products + 11 * check.nonkey["torch"].products) / 12
    )


def test_attention_of_torch_is_unknown_to_fvcore_alone():
    check = cross_check(small("arseg[fusion=global]"), CLASSES, *SIZE)
    assert "aten.scaled_dot_product_attention" in check.nonkey["fvcore"].missed
    assert set(check.nonkey["ptflops"].missed) == {"vssbench.warp"}


class Layers(nn.Module):
    """A convolution with bias, batch normalisation, resizing, a transposed one and a matrix
    product."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding="same")
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.ConvTranspose2d(4, 2, 2, stride=2, bias=False)

    def begin(self, image):
        x = self.norm(self.first(image)).relu()
        x = nn.functional.interpolate(self.second(x), scale_factor=2, mode="bilinear")
        return x @ x.transpose(2, 3), None


def test_products_and_additions_by_hand():
    with torch.device("meta"):
        frame = _Frame(Layers().eval())
    with torch.no_grad():
        found = _tallies(frame, torch.empty(1, 3, 8, 8, device="meta"))
    # 8x8x4 outputs of 27 taps; 8x8 inputs of 4 x 2 x 2x2 taps; two products of 32x32 matrices
    products = 8 * 8 * 4 * 27 + 8 * 8 * 4 * 8 + 2 * 32 * 32 * 32
    assert [tally.products for tally in found.values()] == [pytest.approx(products / 1e9)] * 3
    assert found["fvcore"].beyond == pytest.approx(
        {"batch norm": 2 * 4 * 64 / 1e9, "resizing": 4 * 2 * 32 * 32 / 1e9}
    )
    assert found["ptflops"].beyond == pytest.approx({"biases": 4 * 64 / 1e9})
    assert found["torch"].ignored["native_batch_norm"] == 1
    assert found["torch"].ignored["relu"] == 1
    assert found["fvcore"].printed == pytest.approx((products + 512 + 8192) / 1e9)
    assert additions(found)[0].startswith("fvcore: ")


@torch.library.custom_op("vssbench_tests::nothing_known", mutates_args=())
def nothing_known(x: torch.Tensor) -> torch.Tensor:
    return x * 2


@nothing_known.register_fake
def _(x):
    return torch.empty_like(x)


class Unknown(VideoSegmenter):
    display = "Unknown"

    def keyframe(self, image):
        return nothing_known(self.normalise(image)), None

    def loss(self, phase, batch):
        raise AssertionError("not trained")


def test_an_operator_without_a_formula_is_named():
    with torch.device("meta"):
        frame = _Frame(Unknown(3).eval())
    with torch.no_grad():
        found = _tallies(frame, torch.empty(1, 3, 8, 8, device="meta"))
    for tally in found.values():
        assert [calls for name, calls in tally.unknown.items() if "nothing_known" in name] == [1]
    assert any("no formula is registered for vssbench_tests" in cause for cause in causes(found))


def test_tools_see_what_runs_on_real_tensors_too():
    """The counts on the meta device are those of a real run, taken the plain way."""
    from fvcore.nn import FlopCountAnalysis

    model = registry.create("methods", small("pspnet"), classes=CLASSES).eval()
    image = torch.zeros(1, 3, *SIZE)
    frame = _Frame(model)
    with torch.no_grad():
        plain = (
            FlopCountAnalysis(frame, (image,))
            .unsupported_ops_warnings(False)
            .uncalled_modules_warnings(False)
        )
        real = plain.by_operator()
    found = cross_check(small("pspnet"), CLASSES, *SIZE).key["fvcore"]
    assert found.products == pytest.approx((real["conv"] + real["linear"]) / 1e9)
    assert found.printed == pytest.approx(sum(real.values()) / 1e9)


def test_a_size_that_does_not_run_is_refused_in_words():
    with pytest.raises(UsageError, match="does not run at 1x1"):
        cross_check(parse_variant("pspnet[scale=0.5]"), CLASSES, 1, 1)


def test_the_command_prints_counters_causes_and_what_is_left_out():
    one = ["-m", "arseg[width=0.25]", "--size", "96x128", "--cross-check"]
    text = CliRunner().invoke(cost, [*one, "-m", "bisenet[width=0.25]"]).stdout
    assert "no rule for vssbench.warp x1" in text
    assert "GOP 12" in text
    assert "batch norm: native_batch_norm x" in text
    markdown = CliRunner().invoke(cost, [*one, "--format", "md"]).stdout
    assert "| arseg[width=0.25]" in markdown
    row = json.loads(CliRunner().invoke(cost, [*one, "--json"]).stdout)[0]["cross_check"]
    assert list(row) == list(TOOLS)
    assert row["fvcore"]["nonkey"]["missed"]["vssbench.warp"]["calls"] == 1
    assert row["torch"]["nonkey"]["completed"] == pytest.approx(
        row["ptflops"]["nonkey"]["completed"]
    )
    header = CliRunner().invoke(cost, [*one, "--format", "csv"]).stdout.splitlines()[0]
    assert "cross_check.fvcore.key.products" in header.split(",")


def test_lines_show_a_difference_beyond_one_per_cent():
    check = cross_check(parse_variant("arseg"), 12, *SIZE)
    key, other, mean = lines("arseg", check, 12)
    assert "%" not in key[3]
    assert "%" in other[3]
    assert mean[1] == "GOP 12"
