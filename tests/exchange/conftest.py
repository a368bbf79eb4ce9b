"""Experiments of our own methods on a small street, and their predictions as another program would
write them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from vssbench.core import registry
from vssbench.core.variant import parse_variant
from vssbench.core.video import LabelMap
from vssbench.exchange.input import Input, open_input
from vssbench.fast.prepare import prepare
from vssbench.run.experiment import Experiment
from vssbench.run.stream import Stream
from vssbench.weights.file import open_weights
from vssbench.weights.network import load_into
from vssbench.weights.writing import save_weights

STREET = "synthetic[height=64,width=96,clips=2,frames=7]"
CODEC = "h264[bitrate=200k,gop=3]"

Save = Callable[[Path, LabelMap], None]


def save_png(path: Path, labels: LabelMap) -> None:
    """Write a grey PNG, ``path`` without an ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(labels).save(f"{path}.png")


def save_array(path: Path, labels: LabelMap) -> None:
    """Write an array of wide whole numbers, as argmax gives it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(f"{path}.npy", labels.astype(np.int64))


@pytest.fixture
def small_street() -> Callable[..., Input]:
    """The input of a small street through a codec."""

    def opened(codec: str = CODEC, protocol: str = "dense", dataset: str = STREET) -> Input:
        return open_input(dataset, None, codec, None, protocol)

    return opened


@pytest.fixture
def experiment_of(tmp_path: Path) -> Callable[[str, Input], Experiment]:
    """An experiment of a method with random weights on an input."""

    def made(method: str, source: Input) -> Experiment:
        torch.manual_seed(1)
        variant, classes = parse_variant(method), source.dataset.classes
        network = parse_variant(str(variant.params.get("network", variant)))
        path = tmp_path / f"{network.name}.safetensors"
        if not path.exists():
            model = registry.create("methods", network, classes=len(classes))
            save_weights(path, model, network, classes, "synthetic", {})
        return Experiment(
            variant,
            open_weights(path),
            source.dataset_variant,
            source.dataset,
            source.codec_variant,
            source.codec,
            source.protocol,
        )

    return made


def predict(experiment: Experiment, folder: Path, save: Save = save_png) -> int:
    """Write a method's predictions by the documented names; returns how many."""
    count = 0
    for place, labels in predictions(experiment):
        save(folder / place, labels)
        count += 1
    return count


def predictions(experiment: Experiment) -> Iterator[tuple[str, LabelMap]]:
    """The predictions of a method on the frames of an experiment, by their names."""
    model = registry.create("methods", experiment.method, classes=len(experiment.dataset.classes))
    load_into(model, experiment.method, experiment.dataset.classes, experiment.weights)
    stream = Stream(prepare(model))
    for clip in experiment.dataset.clips():
        for episode in experiment.protocol.episodes(clip, experiment.codec.gop):
            asked = {"motion": "motion" in model.needs}
            for frame in experiment.codec.frames(episode.clip, None, **asked):
                if not episode.runs(frame.index, frame.distance == 0):
                    continue
                labels, _ = stream.segment(frame)
                if episode.scores(frame.index):
                    name = f"{clip.name}/{episode.first + frame.index:06d}"
                    dense = experiment.protocol.name == "dense"
                    yield name if dense else f"d{frame.distance}/{name}", labels
