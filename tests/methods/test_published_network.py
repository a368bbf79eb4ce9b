"""Somebody's published network, wrapped as docs/adding-a-method.md shows, from its checkpoint to a
stored run."""

import re
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner

from vssbench.cli import bench
from vssbench.core import registry
from vssbench.core.errors import WeightsError
from vssbench.core.segmenter import Batch, VideoSegmenter
from vssbench.core.variant import Variant
from vssbench.cost.gmacs import count
from vssbench.run.store import RunStore
from vssbench.weights.convert import Rules, convert, parse_statistics, read_rules
from vssbench.weights.file import open_weights
from vssbench.weights.network import build

PAGE = Path(__file__).resolve().parents[2] / "docs" / "adding-a-method.md"
SNIPPET = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]

#: the authors' code: takes BGR in grey levels less their means, at multiples of 8 alone, and gives
#: logits of one output more at half size
AUTHORS = """
from torch import nn


class TheirNet(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, 2, 1)
        self.norm = nn.BatchNorm2d(16)
        self.deep = nn.Conv2d(16, 16, 3, padding=4, dilation=4, groups=16)
        self.last = nn.Conv2d(16, outputs, 1)

    def forward(self, x):
        assert x.shape[-2] % 8 == 0 and x.shape[-1] % 8 == 0
        return self.last(self.deep(self.norm(self.first(x)).relu()).relu())
"""
BGR_MEANS = (72.4, 82.9, 104.2)
OPTIONS = (
    "--classes", "11", "--mean", "72.4,82.9,104.2", "--std", f"{1 / 255},{1 / 255},{1 / 255}",
    "--bgr",
)  # fmt: skip


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.nn.Module]:
    """The package is installed; returns the authors' network with weights, as they run it."""
    (tmp_path / "theirs.py").write_text(AUTHORS)
    (tmp_path / "theirs_plug_in.py").write_text(SNIPPET)
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("theirs", "theirs_plug_in:Theirs", "vssbench.methods")
    monkeypatch.setattr(
        registry, "entry_points", lambda group: [point] if group == point.group else []
    )
    caches = (registry.plugins, registry.load, registry.settled)
    for cache in caches:
        cache.cache_clear()
    from theirs import TheirNet

    torch.manual_seed(0)
    network = TheirNet(12).eval()
    network.last.bias.data[11] = 1000.0  # Void wins everywhere unless it is taken out
    network.last.weight.data *= 20
    torch.save(
        {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in network.state_dict().items()}},
        tmp_path / "camvid.pth",
    )
    yield network
    monkeypatch.undo()
    for cache in caches:
        cache.cache_clear()
    for name in ("theirs", "theirs_plug_in"):
        sys.modules.pop(name, None)


def expected_labels(network: torch.nn.Module, image: torch.Tensor) -> torch.Tensor:
    """The authors' steps, on an image whose sides they take."""
    levels = image.flip(1) * 255 - torch.tensor(BGR_MEANS).view(1, 3, 1, 1)
    logits = network(levels)[:, :11]
    size = (image.shape[-2], image.shape[-1])
    return F.interpolate(logits, size, mode="bilinear", align_corners=True).argmax(1)


def converted(folder: Path, *options: str) -> Path:
    target = folder / "theirs.safetensors"
    command = ["weights", "convert", "theirs", str(folder / "camvid.pth"), "-o", str(target)]
    result = CliRunner().invoke(bench, [*command, *OPTIONS, *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(target)
    return target


def test_the_wrapper_is_short() -> None:
    assert len(SNIPPET.splitlines()) < 25


@torch.no_grad()
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_labels_are_those_of_the_authors_steps(theirs, tmp_path, precision):
    file = open_weights(converted(tmp_path, "--precision", precision))
    model = build(file)
    assert model.display == "Theirs"
    assert len(file.classes) == 11
    image = torch.rand(1, 3, 64, 96)
    expected = expected_labels(theirs, image)
    logits, _ = model.begin(image)
    assert logits.shape == (1, 11, 32, 48)
    enlarged = F.interpolate(logits, (64, 96), mode="bilinear", align_corners=True)
    assert torch.equal(enlarged.argmax(1), expected)
    assert expected.unique().numel() > 2


@torch.no_grad()
def test_frames_of_other_sizes_are_padded_and_the_padding_is_counted(theirs, tmp_path):
    model = build(open_weights(converted(tmp_path)))
    image = torch.rand(1, 3, 61, 90)
    whole = F.pad(image, (0, 6, 0, 3), mode="replicate")
    logits, reference = model.begin(image)
    assert torch.equal(logits.argmax(1), expected_labels(theirs, whole)[:, :61, :90])
    assert torch.equal(model.follow(image, None, reference), logits)
    variant = Variant("theirs")
    assert count(variant, 11, 61, 90) == count(variant, 11, 64, 96)


def test_it_is_run_and_trained(theirs, tmp_path):
    """By the commands of the page: measured on a dataset, and one step of training is finite."""
    target = converted(tmp_path)
    command = ["run", "-m", "theirs", "--weights", str(target), "-c", "raw", "--runs"]
    dataset = "synthetic[height=60,width=92,clips=1,frames=3]"
    result = CliRunner().invoke(
        bench, [*command, str(tmp_path / "runs"), "-d", dataset], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    (run,) = RunStore(tmp_path / "runs").runs()
    assert run.measurement.status == "done"
    assert run.measurement.display == "Theirs"
    model: VideoSegmenter = build(open_weights(target)).train().requires_grad_(True)
    label = torch.randint(0, 11, (2, 61, 90))
    label[:, :10] = 255
    batch = Batch(torch.rand(2, 3, 61, 90), label, torch.ones(11))
    (term,) = model.loss(model.phases()[0], batch).values()
    term.backward()
    assert torch.isfinite(term)
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_names_are_mapped_by_rules(theirs, tmp_path):
    state = {f"stem.{k}" if k.startswith(("first", "norm")) else k: v
             for k, v in theirs.state_dict().items()}  # fmt: skip
    torch.save({**state, "aux.weight": torch.ones(3)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"net\.first.* get no value, and stem\.first\.weight"):
        convert(Variant("theirs"), tmp_path / "other.pth", "11", Rules())
    rules = tmp_path / "rules.toml"
    rules.write_text('rename = [["^stem\\\\.", ""]]\nunused = [["^aux", "of training alone"]]\n')
    result = convert(Variant("theirs"), tmp_path / "other.pth", "11", read_rules(rules))
    assert len(result.used) == len(state) - 1  # without the counter of steps
    assert ("aux.weight", "of training alone") in [(e.name, e.reason) for e in result.unused]
    with pytest.raises(WeightsError, match=r"\(12, 16, 1, 1\) instead of \(6, 16, 1, 1\)"):
        convert(Variant("theirs"), tmp_path / "other.pth", "a,b,c,d,e", read_rules(rules))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rename = 3", "expected pairs of texts"),
        ('rename = [["a"]]', "expected pairs of texts"),
        ('rename = [["(", ""]]', "no regular expression"),
        ('rename = [["a", "\\\\2"]]', "no regular expression"),
        ("names = []", "unknown key 'names'"),
        ("rename = [", "cannot be read as TOML"),
    ],
)
def test_rules_that_do_not_read(text, words, tmp_path):
    (tmp_path / "rules.toml").write_text(text)
    with pytest.raises(WeightsError, match=words):
        read_rules(tmp_path / "rules.toml")


def test_statistics_of_either_order_and_unit():
    default = (0.0, 0.0, 0.0)
    assert parse_statistics(None, "--mean", True, default) == default
    assert parse_statistics("0.1,0.2,0.3", "--mean", False, default) == (0.1, 0.2, 0.3)
    assert parse_statistics("51,102,0", "--mean", True, default) == (0.0, 0.4, 0.2)
    for text in ("1,2", "a,b,c", "1,2,nan", "-1,0,0", "1,2,256"):
        with pytest.raises(WeightsError, match="expected three numbers"):
            parse_statistics(text, "--mean", False, default)
    with pytest.raises(WeightsError, match="expected three numbers"):
        parse_statistics("0,1,1", "--std", False, default)
