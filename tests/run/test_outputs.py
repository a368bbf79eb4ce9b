"""Networks with an output of no class (Void), and classes that are not scored."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.conftest import Patterns
from vssbench.core import registry
from vssbench.core.errors import UsageError, WeightsError
from vssbench.core.registry import Plugin
from vssbench.core.segmenter import VideoSegmenter
from vssbench.core.variant import parse_variant
from vssbench.metrics.bootstrap import difference
from vssbench.report.counted import widened
from vssbench.report.rows import rows
from vssbench.report.scores import Rules, blocks, remarks
from vssbench.report.table import render
from vssbench.run.experiment import Experiment
from vssbench.run.measuring import measure
from vssbench.run.outputs import Outputs, outputs_of
from vssbench.run.store import RunStore
from vssbench.sweep import grid
from vssbench.weights.file import open_weights
from vssbench.weights.writing import save_weights

CLASSES = Patterns.classes


class Twelfth(VideoSegmenter):
    """A network whose outputs are colours; of its classes ``Void`` is the largest above a level."""

    def __init__(self, classes: int, *, place: int = -1) -> None:
        super().__init__(classes)
        self.place = place if place >= 0 else classes - 1
        self.level = nn.Parameter(torch.tensor(0.35))

    def keyframe(self, image: Tensor) -> tuple[Tensor, Any]:
        red, green, blue = image.split(1, 1)
        outputs = [green, red, blue]
        outputs.insert(self.place, self.level + 0 * red)
        return torch.cat(outputs[: self.classes], 1), None


class Declared(Twelfth):
    """The same, whose class says which output is no class."""

    void = -1

    def __init__(self, classes: int) -> None:
        super().__init__(classes + 1)
        self.classes = classes

    def keyframe(self, image: Tensor) -> tuple[Tensor, Any]:
        red, green, blue = image.split(1, 1)
        return torch.cat([green, red, blue, self.level + 0 * red], 1), None


@pytest.fixture
def methods(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two networks as plug-ins."""
    own = {name: Plugin(name, "methods", __name__) for name in ("twelfth", "declared")}
    classes = {"twelfth": Twelfth, "declared": Declared}
    find, load, plugins = registry.find, registry.load, registry.plugins
    monkeypatch.setattr(registry, "plugins", lambda kind: {**plugins(kind), **own})
    monkeypatch.setattr(registry, "find", lambda kind, name: own.get(name) or find(kind, name))
    monkeypatch.setattr(registry, "load", lambda kind, name: classes.get(name) or load(kind, name))


Make = Callable[..., Experiment]


@pytest.fixture
def make(methods: None, tmp_path: Path) -> Make:
    """An experiment on the patterns by a network with those classes."""
    count = itertools.count()

    def made(text: str, own: Sequence[str], dataset: Any = None, **given: Any) -> Experiment:
        variant = parse_variant(text)
        model = registry.create("methods", variant, classes=len(own))
        path = tmp_path / f"{next(count)}.safetensors"
        save_weights(path, model, variant, tuple(own), "patterns", {})
        experiment = Experiment(
            variant, open_weights(path), parse_variant("patterns"), dataset or Patterns(clips=1),
            parse_variant("raw"), registry.create("codecs", parse_variant("raw"), gop=3),
            grid.find_protocol("dense"),
        )  # fmt: skip
        return replace(experiment, **given)

    return made


@pytest.mark.parametrize("rule", ["error", "masked"])
@pytest.mark.parametrize("network", ["declared", "twelfth"])
@pytest.mark.parametrize("method", ["copy", "warp"])
def test_what_baselines_take_from_a_keyframe_follows_the_rule(
    make: Make, method: str, network: str, rule: str
) -> None:
    """Check that what stands still has the keyframe's labels at every later frame."""
    own = CLASSES if network == "declared" else (*CLASSES, "Void")
    outputs = make(f"{method}[network={network}]", own, void=rule).outputs
    variant = parse_variant(f"{method}[network={network}]")
    model = registry.create("methods", variant, classes=outputs.classes)
    outputs.prepare(model)
    image = torch.from_numpy(Patterns().scored_clips[0].image(0)).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        logits, reference = model.begin(image)
        key = outputs.predicted(logits[0])
        later = outputs.predicted(
            model.follow(image, torch.zeros(1, 2, *image.shape[-2:]), reference)[0]
        )
    assert torch.equal(later, key)
    assert set(key.unique().tolist()) <= set(range(outputs.values))
    assert (3 in key) == (rule == "error")
    assert outputs.void == rule


def by_hand(dataset: Patterns, rule: str) -> float:
    """The pooled mIoU of the networks above by loops over pixels' values."""
    hits, truth, taken = [0] * 3, [0] * 3, [0] * 3
    for clip in dataset.scored_clips:
        for index in range(clip.length):
            label, image = clip.label(index), clip.image(index)
            assert label is not None
            for row, colours in zip(label.tolist(), image.tolist(), strict=True):
                for true, (red, green, blue) in zip(row, colours, strict=True):
                    values = [green, red, blue] + ([0.35 * 255] if rule == "error" else [])
                    said = values.index(max(values))
                    truth[true] += 1
                    hits[true] += said == true
                    if said < 3:
                        taken[said] += 1
    return sum(h / (t + p - h) for h, t, p in zip(hits, truth, taken, strict=True)) / 3


@pytest.mark.parametrize("rule", ["error", "masked"])
@pytest.mark.parametrize(
    ("method", "own"),
    [
        ("twelfth", (*CLASSES, "Void")),
        ("twelfth[place=0]", ("VOID", *CLASSES)),
        ("twelfth[place=1]", ("ground", "unlabelled", "red", "blue")),
        ("declared", CLASSES),
    ],
)
def test_an_output_of_no_class_is_an_error_or_masked(
    make: Make, tmp_path: Path, method: str, own: tuple[str, ...], rule: str
) -> None:
    """By either rule the number is that of loops by hand, wherever the output stands."""
    dataset = Patterns(clips=1, frames=2, height=32, width=48)
    experiment = make(method, own, dataset, void=rule)
    store = RunStore(tmp_path / "runs")
    result = measure(experiment, store, "test")
    assert result.status == "done", result.reason
    assert (result.classes, result.void) == (list(CLASSES), rule)
    (row,) = rows(store.runs())
    (block,) = blocks(store, [row], None, Rules())
    assert block.lines[0].scores.pooled_miou == pytest.approx(by_hand(dataset, rule))
    assert len(block.lines[0].scores.class_iou) == 3
    assert (row["classes"], row["without"], row["void"]) == (3, "", rule)
    said = {"error": "the pixel is an error", "masked": "is masked"}[rule]
    assert said in render([row], "md")
    assert said in " ".join(remarks(block))


def test_the_two_rules_are_two_experiments(make: Make) -> None:
    own = (*CLASSES, "Void")
    assert make("twelfth", own).run_id != make("twelfth", own, void="masked").run_id
    assert make("twelfth", own).run_id != make("twelfth", own, without=("blue",)).run_id


def test_networks_with_and_without_such_an_output_are_compared(make: Make, tmp_path: Path) -> None:
    """On the same frames, though the matrices of one have a column more."""
    store = RunStore(tmp_path / "runs")
    for experiment in (
        make("twelfth", (*CLASSES, "Void"), Patterns(clips=1, frames=20, height=32, width=48)),
        make("twelfth[place=3]", CLASSES, Patterns(clips=1, frames=20, height=32, width=48)),
    ):
        assert measure(experiment, store, "test").status == "done"
    found = rows(store.runs())
    (block,) = blocks(store, found, None, Rules())
    gains = [line.gain for line in block.lines if line.gain is not None]
    records = {run.measurement.void: run.confusion for run in store.runs()}
    both = records[""], records["error"]
    assert both[0] is not None
    assert both[1] is not None
    assert both[0].matrices.shape[1:] == (3, 3)
    assert both[1].matrices.shape[1:] == (4, 4)
    expected = difference(widened(both[0], 4), both[1], left_out=[3])
    assert [abs(gain.miou.value) for gain in gains] == [abs(expected.miou.value)]


def test_a_class_that_is_left_out_of_a_run(make: Make, tmp_path: Path) -> None:
    """Its pixels do not count; where it is predicted in place of another, that is an error."""
    store = RunStore(tmp_path / "runs")
    for without, void in (((), "error"), (("BLUE",), "error"), (("blue",), "masked")):
        experiment = make("twelfth[place=3]", CLASSES, without=without, void=void)
        assert measure(experiment, store, "test").status == "done"
    everything, error, masked = (
        next(row for row in rows(store.runs()) if (row["without"], row["void"]) == key)
        for key in (("", ""), ("blue", ""), ("blue", "masked"))
    )
    assert error["per_class"]["blue"] is None
    assert error["classes"] == 2
    assert masked["miou"] >= error["miou"]
    assert error["miou"] != everything["miou"]
    afterwards = rows(store.runs(), ["Blue"])
    same = next(row for row in afterwards if row["run_id"] == everything["run_id"])
    assert same["miou"] == error["miou"]  # chosen in the run, or when it is shown
    text = render([everything, error], "md")
    assert "Patterns 64x96, 3 classes" in text
    assert "Patterns 64x96, 2 classes, without blue" in text


def test_what_cannot_be_told_is_refused() -> None:
    with pytest.raises(UsageError, match="expected error or masked"):
        outputs_of(CLASSES, CLASSES, False, (), "ignored")  # type: ignore[arg-type]
    assert outputs_of((*CLASSES, "green"), CLASSES, False) == Outputs(3, 3)
    named = outputs_of((*CLASSES, "green"), CLASSES, False, ("Green",))
    assert (named.classes, named.values, named.places) == (4, 4, (0, 1, 2, 3))


def test_weights_with_a_further_class_need_its_name(make: Make, tmp_path: Path) -> None:
    """A class that is not called Void is one until the user says that it is none."""
    path = make("twelfth", (*CLASSES, "green")).weights.path
    datasets = [(parse_variant("patterns"), Patterns(clips=1))]
    asked = grid.Grid(("twelfth",), ("raw",), weights=(path,))
    with pytest.raises(WeightsError, match="--without NAME"):
        grid.plan(asked, datasets, tmp_path)
    (planned,) = grid.plan(replace(asked, without=("green",)), datasets, tmp_path)
    assert planned.outputs.classes == 4
    with pytest.raises(UsageError, match="'mauve' is no class of the datasets and weights: ground"):
        grid.plan(replace(asked, without=("green", "mauve")), datasets, tmp_path)
    with pytest.raises(UsageError, match="leaves no class of patterns to score"):
        grid.plan(replace(asked, without=("green", *CLASSES)), datasets, tmp_path)
